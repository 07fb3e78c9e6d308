"""The page in the browser: a choice of models, for each the tabs of what it can do, and its local server."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from keras_gen.report.explorer import tabs
from keras_gen.utils import checks, signals
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    import gradio

    from keras_gen.report.explorer.model import Explorer

HOST, PORT = "127.0.0.1", 7860
POLL_SECONDS = 0.1
FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
CSS = ".pixels img { image-rendering: pixelated; } footer { display: none !important; }"


def check_gradio() -> None:
    """Say how to install Gradio where it is missing, without the seconds that its import takes.

    Raises:
        UsageError: it is missing.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UsageError("gradio, which makes the page, is not installed: pip install 'keras_gen[demo]'")


def check_address(host: str, port: int) -> tuple[str, int]:
    """`host` and `port` where a server can listen now.

    Args:
        host: name or address of an interface of this machine.
        port: from 1 to 65535.

    Raises:
        UsageError: no such interface or port, or the port is taken.

    Example:
        >>> check_address("127.0.0.1", 0)
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: port must be an integer from 1 to 65535, received: 0
    """
    if checks.non_negative_int("port", port) not in range(1, 65536):
        raise must_be("port", "an integer from 1 to 65535", port)
    try:
        with socket.create_server((host, port)):
            return host, port
    except (socket.gaierror, TypeError, ValueError) as error:  # the last two of letters that no name has
        raise must_be("host", "the name or address of an interface of this machine", host) from error
    except (OSError, OverflowError) as error:
        raise UsageError(f"{host}:{port} can't be listened on: {error.strerror}") from error


def build(explorers: Sequence[Explorer]) -> gradio.Blocks:
    """The page, not yet served.

    Args:
        explorers: at least one; with several, a menu switches between them.

    Returns:
        Blocks without analytics.

    Raises:
        UsageError: no explorer, or Gradio is missing.
    """
    if not explorers:
        raise must_be("explorers", "at least one", list(explorers))
    gr = _gradio()
    names = [f"{explorer.name} ({explorer.path})" for explorer in explorers]
    with gr.Blocks(title="keras_gen", analytics_enabled=False) as page:
        choice = gr.Dropdown(
            names, value=names[0], type="index", label="Model", interactive=True, visible=len(names) > 1
        )
        parts = [_part(explorer, visible=index == 0) for index, explorer in enumerate(explorers)]

        def show(chosen):
            return [gr.Column(visible=index == chosen) for index in range(len(parts))]

        choice.change(show, choice, parts, **tabs.INSTANT_EVENT)
    return page


def serve(
    explorers: Sequence[Explorer],
    host: str = HOST,
    port: int = PORT,
    on_start: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the page until interrupted (Ctrl-C, or SIGTERM or SIGHUP), in the main thread.

    Nothing is shared publicly and nothing sent anywhere; the page's fonts and scripts come from this server. Pictures
    that it serves are in a temporary folder until it ends.

    Args:
        explorers: as in `build`.
        host: interface to listen on. Any but the default lets others in who reach this machine; there is no password.
        port: from 1 to 65535.
        on_start: called with the page's address once it answers.

    Raises:
        UsageError: as `build` and `check_address`.
    """
    host, port = check_address(host, port)
    # The requests first, so that none can end the process while there is something to clean up.
    with signals.StopSignals() as requests, running(explorers, host, port) as url:
        on_start(url)
        while not requests.count:
            time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def running(explorers: Sequence[Explorer], host: str = HOST, port: int = PORT) -> Iterator[str]:
    """Serves the page, at the address that it gives, while the block runs; see `serve`."""
    with _temporary_folder():
        page = build(explorers)
        try:
            yield _launch(page, host, port)
        finally:
            page.close(verbose=False)


def _launch(page: gradio.Blocks, host: str, port: int) -> str:
    gr = _gradio()
    _, url, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,  # said, since an environment variable could ask for it
        prevent_thread_lock=True,
        quiet=True,
        inbrowser=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        footer_links=[],
        css=CSS,
        theme=gr.themes.Default(font="system-ui", font_mono="monospace"),  # no font from elsewhere
    )
    return url


@contextlib.contextmanager
def _temporary_folder() -> Iterator[None]:
    """Pictures that Gradio serves lie in a folder of their own meanwhile, which is named when the page is built."""
    before = os.environ.get(FOLDER_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="keras_gen-explore-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            os.environ.pop(FOLDER_VARIABLE)
            if before is not None:
                os.environ[FOLDER_VARIABLE] = before


def _part(explorer: Explorer, visible: bool) -> gradio.Column:
    import gradio as gr

    with gr.Column(visible=visible) as part:
        height, width, channels = explorer.image_shape
        latents = "" if explorer.latent_shape is None else f", latents {'×'.join(map(str, explorer.latent_shape))}"
        classes = f", {explorer.num_classes} classes" if explorer.num_classes else ""
        gr.Markdown(f"### {explorer.name}\nimages {height}×{width}×{channels}{latents}{classes}")
        for title, build_tab in tabs.available_tabs(explorer).items():
            with gr.Tab(title):
                build_tab(explorer)
    return part


def _gradio():
    """Gradio, told before its import to call nobody."""
    check_gradio()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio

    return gradio
