"""The explorer page and its local server: a menu of models, and tabs for the functions of each model."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from keras_gen.report.explorer import tabs
from keras_gen.utils import checks, signals, trained_models
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    import gradio

    from keras_gen.report.explorer.model import Explorer

HOST, PORT = "127.0.0.1", 7860
POLL_SECONDS = 0.1
MAX_UPLOAD = 32 * 2**20
"""Maximum number of bytes of a request, such as an uploaded picture."""

FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
CSS = ".pixels img { image-rendering: pixelated; } footer { display: none !important; }"


def check_gradio() -> None:
    """Check that Gradio is installed, or raise `UsageError`, without importing it, which takes seconds."""
    if importlib.util.find_spec("gradio") is None:
        raise UsageError("the explorer needs gradio, which is not installed: pip install gradio")


def check_address(host: str, port: int) -> tuple[str, int]:
    """Check that a server can listen on `host` and `port` now, and return both.

    Args:
        host: str, name or address of an interface of this machine.
        port: int from 1 to 65535.

    Raises:
        UsageError: if the interface or port does not exist, or the port is in use.

    Example:
        >>> check_address("127.0.0.1", 0)
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: port must be an integer from 1 to 65535, received: 0
    """
    checks.integer("port", port, 1, 65535)
    try:
        with socket.create_server((host, port)):
            return host, port
    except (socket.gaierror, TypeError, ValueError) as error:  # the last two: characters not allowed in a name
        raise must_be("host", "the name or address of an interface of this machine", host) from error
    except OSError as error:
        raise UsageError(f"can't listen on {host}:{port}: {error.strerror}") from error


def build(explorers: Sequence[Explorer]) -> gradio.Blocks:
    """Build the page without serving it.

    Args:
        explorers: sequence of at least one `Explorer`; with several, a menu switches between them.

    Raises:
        UsageError: if there is no explorer, or Gradio is not installed.
    """
    if not explorers:
        raise must_be("explorers", "at least one", list(explorers))
    gr = _gradio()
    names = [
        each.path.name if trained_models.find(each.path.name) == each.path else f"{each.name} ({each.path})"
        for each in explorers
    ]
    with gr.Blocks(title="keras_gen", analytics_enabled=False) as page:
        options = {"type": "index", "label": "Model", "interactive": True, "visible": len(names) > 1}
        choice = gr.Dropdown(names, value=names[0], **options)
        columns = [_column(explorer, visible=index == 0) for index, explorer in enumerate(explorers)]

        def show(chosen):
            return [gr.Column(visible=index == chosen) for index in range(len(columns))]

        choice.change(show, choice, columns, **tabs.INSTANT_EVENT)
    return page


def serve(
    explorers: Sequence[Explorer],
    host: str = HOST,
    port: int = PORT,
    on_start: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the page in the main thread until interrupted by Ctrl-C, SIGTERM or SIGHUP.

    Nothing is shared publicly or sent to other machines; fonts and scripts of the page come from this server. Served
    pictures are kept in a temporary folder until the server stops. Requests of other sites' pages, for other host
    names than this machine's, or of more than 32 MB are refused.

    Args:
        explorers: as in `build`.
        host: str, interface to listen on; default 127.0.0.1. With any other, everyone who can reach this machine has
            access; there is no password.
        port: int from 1 to 65535; default 7860.
        on_start: function called with the URL once the page answers.

    Raises:
        UsageError: as `build` and `check_address`.
    """
    host, port = check_address(host, port)
    # Signals are handled first, so that none ends the process before it has cleaned up.
    with signals.StopSignals() as stop_signals, running(explorers, host, port) as url:
        on_start(url)
        while not stop_signals.count:
            time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def running(explorers: Sequence[Explorer], host: str = HOST, port: int = PORT) -> Iterator[str]:
    """Serve the page while the block runs, and yield its URL; see `serve`."""
    with _temporary_folder():
        page = build(explorers)
        try:
            yield _launch(page, host, port)
        finally:
            page.close(verbose=False)


def _launch(page: gradio.Blocks, host: str, port: int) -> str:
    gr = _gradio()
    application, url, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,  # explicit, since an environment variable could enable it
        prevent_thread_lock=True,
        quiet=True,
        inbrowser=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        footer_links=[],
        max_file_size=MAX_UPLOAD,
        css=CSS,
        theme=gr.themes.Default(font="system-ui", font_mono="monospace"),  # no remote fonts
    )
    # Outside of Gradio's own layers, which allow any origin where the host is not a local one.
    application.middleware_stack = _guarded(application.middleware_stack, {"localhost", host, socket.gethostname()})
    return url


def _guarded(application: Callable, names: set[str]) -> Callable:
    """Return an ASGI application that answers only what `_refusal` lets pass, so other sites can't use the page."""
    from starlette.datastructures import Headers
    from starlette.responses import PlainTextResponse

    async def guarded(scope, receive, send):
        reason = _refusal(Headers(scope=scope), names) if "headers" in scope else None
        answer = application if reason is None else PlainTextResponse(reason, 403)
        await answer(scope, receive, send)

    return guarded


def _refusal(headers: Mapping[str, str], names: set[str]) -> str | None:
    """Return why a request is refused, or None.

    A name that resolves to this machine may be another site's (DNS rebinding), so only addresses and `names` are known.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    known = "|".join(map(re.escape, names))
    if not re.fullmatch(rf"(?:{known}|[\d.]+|\[[\da-f:.]+\])(?::\d+)?", host, re.IGNORECASE):
        return "the host must be an address or name of this page's machine"
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return "this page can be used from its own address only"
    if "transfer-encoding" in headers or int(headers.get("content-length", 0)) > MAX_UPLOAD:
        return f"requests must state their length, of at most {MAX_UPLOAD:,} bytes"
    return None


@contextlib.contextmanager
def _temporary_folder() -> Iterator[None]:
    """Make Gradio keep served pictures in a temporary folder. Gradio reads its path when the page is built."""
    before = os.environ.get(FOLDER_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="keras_gen-explore-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            os.environ.pop(FOLDER_VARIABLE)
            if before is not None:
                os.environ[FOLDER_VARIABLE] = before


def _column(explorer: Explorer, visible: bool) -> gradio.Column:
    import gradio as gr

    with gr.Column(visible=visible) as column:
        height, width, channels = explorer.image_shape
        latents = "" if explorer.latent_shape is None else f", latents {'×'.join(map(str, explorer.latent_shape))}"
        classes = f", {explorer.num_classes} classes" if explorer.num_classes else ""
        gr.Markdown(f"### {explorer.name}\nimages {height}×{width}×{channels}{latents}{classes}")
        for title, build_tab in tabs.available_tabs(explorer).items():
            with gr.Tab(title):
                build_tab(explorer)
    return column


def _gradio():
    """Import Gradio with its telemetry disabled, which must happen before the import."""
    check_gradio()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio

    return gradio
