"""The tabs of the page, one for each thing that a SavedModel can do."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.report.explorer import drawing
from keras_gen.utils import image_utils
from keras_gen.utils.errors import UsageError

if TYPE_CHECKING:
    import gradio

    from keras_gen.report.explorer.model import Explorer

SLIDERS = 16
"""Latent dimensions that can be moved at a time."""

RANGE = 3.0
"""How far a slider goes to both sides of 0: 99.7% of a standard normal distribution."""

SIZE = 320
"""Pixels of a picture's longer side, and of the canvas to draw on."""

DRAWN = "drawn at random"
INVERT = {"if the border is bright": None, "always": True, "never": False}
SEEDS, PICTURES = "two seeds", "two pictures"
DRAWING, UPLOAD = "drawn", "uploaded"


def available_tabs(explorer: Explorer) -> dict[str, Callable[[Explorer], None]]:
    """By their titles, the functions that build the tabs for what the SavedModel can do; at least one.

    To be called inside `gradio.Tab`. A SavedModel that was exported without a function lacks the tabs that need it.
    """
    functions = explorer.functions
    tabs = {
        "Sample": (sample_tab, "generate" in functions),
        "Latent dimensions": (latent_tab, explorer.has_latent_vector),
        "Interpolate": (interpolate_tab, "decode" in functions and (explorer.has_prior or "encode" in functions)),
        "Reconstruct": (reconstruct_tab, "reconstruct" in functions),
    }
    return {title: build for title, (build, is_possible) in tabs.items() if is_possible}


def enlarged(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images in a grid, or a single one without a frame, every pixel of theirs a square of pixels.

    Args:
        images: uint8, shape `(n, height, width, channels)`.
        columns: as in `images.grid`.

    Returns:
        uint8, shape `(H, W)` or `(H, W, 3)`. The longer side is up to 320 pixels for an image, 640 for a grid and 1,280
        where `columns` asks for a row, as far as whole numbers of pixels go; larger only if the images are.

    Example:
        >>> enlarged(np.zeros((1, 28, 28, 1), "uint8")).shape
        (308, 308)
    """
    if len(images) == 1:
        picture, size = image_utils.grid(images, padding=0), SIZE
    else:
        picture, size = image_utils.grid(images, columns=columns), 2 * SIZE if columns is None else 4 * SIZE
    times = max(1, size // max(picture.shape[:2]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def sample_tab(explorer: Explorer) -> None:
    """A grid of generated images: their seed, number and class."""
    import gradio as gr

    with gr.Row():
        with gr.Column():
            seed = _seed("Seed", 0)
            another = gr.Button("Another seed")
            count = gr.Slider(1, 100, 25, step=1, label="Images")
            label = _class(explorer, choices=[DRAWN])
        with gr.Column():
            output = _output("Generated images", lambda: enlarged(explorer.sample(25)))

    @_with_errors_shown
    def sample(seed, count, label):
        return enlarged(explorer.sample(count, seed, None if label == DRAWN else label))

    choices = [seed, count, label]
    gr.on([c.change for c in choices], sample, choices, output, trigger_mode="always_last", **QUEUED_EVENT)
    another.click(lambda: random.randrange(2**31), None, seed, **INSTANT_EVENT)


def latent_tab(explorer: Explorer) -> None:
    """An image whose latent is moved along one dimension at a time."""
    import gradio as gr

    (size,) = explorer.latent_shape
    first = list(range(min(SLIDERS, size)))
    latent = gr.State([0.0] * size)

    def decoded(latent, label):
        return enlarged(explorer.decode([latent], label))

    with gr.Row():
        with gr.Column(scale=2):
            with gr.Row():
                seed = _seed("Seed", 0, visible=explorer.has_prior)
                from_seed = gr.Button("Latent of this seed", visible=explorer.has_prior)
                origin = gr.Button("All to 0")
            chosen = gr.Dropdown(
                list(range(size)),
                value=first,
                multiselect=True,
                max_choices=SLIDERS,
                label=f"Dimensions of {size}, at most {SLIDERS}",
                visible=size > SLIDERS,
            )
            sliders = _sliders(first)
        with gr.Column(scale=1):
            output = _output("Decoded image", lambda: decoded([0.0] * size, _first_class(explorer)))
            label = _class(explorer)

    def moved(index, latent, chosen, label, value):
        latent[chosen[index]] = value
        return latent, decoded(latent, label)

    def placed(latent, chosen, label):
        return [latent, decoded(latent, label), *_slider_values(latent, chosen)]

    for index, slider in enumerate(sliders):
        move = _with_errors_shown(functools.partial(moved, index))
        slider.input(
            move, [latent, chosen, label, slider], [latent, output], trigger_mode="always_last", **QUEUED_EVENT
        )
    everything = [latent, output, *sliders]
    start = _with_errors_shown(lambda seed, *rest: placed(explorer.latent(seed).tolist(), *rest))
    from_seed.click(start, [seed, chosen, label], everything, **QUEUED_EVENT)
    origin.click(lambda *rest: placed([0.0] * size, *rest), [chosen, label], everything, **INSTANT_EVENT)
    chosen.change(_slider_values, [latent, chosen], sliders, **INSTANT_EVENT)
    label.change(decoded, [latent, label], output, **INSTANT_EVENT)


def interpolate_tab(explorer: Explorer) -> None:
    """A row of images on the way between two seeds' latents, or between two pictures'."""
    import gradio as gr

    ends = [SEEDS] * explorer.has_prior + [PICTURES] * ("encode" in explorer.functions)
    with gr.Row():
        between = gr.Radio(ends, value=ends[0], label="Between", visible=len(ends) > 1)
        kind = gr.Radio(list(explorer.interpolations), value="spherical", label="Way")
        steps = gr.Slider(2, 20, 10, step=1, label="Images")
        label = _class(explorer)
    with gr.Row(visible=ends[0] == SEEDS) as seeds:
        first_seed, second_seed = _seed("First seed", 0), _seed("Second seed", 1)
    with gr.Row(visible=ends[0] == PICTURES) as uploads:
        first_picture, second_picture = _upload("First picture"), _upload("Second picture")
        invert, center = _preparation(explorer)

    def way(start, end, kind, steps, label):
        return enlarged(explorer.interpolate(start, end, steps, kind, label), columns=steps)

    def first_way():
        return way(explorer.latent(0), explorer.latent(1), "spherical", 10, _first_class(explorer))

    output = _output("On the way", first_way if explorer.has_prior else None)

    @_with_errors_shown
    def interpolated(between, kind, steps, label, first_seed, second_seed, first, second, invert, center):
        if between == SEEDS:
            return way(explorer.latent(first_seed), explorer.latent(second_seed), kind, steps, label)
        if first is None or second is None:
            return None
        images = [_prepared(explorer, picture, invert, center)[np.newaxis] for picture in (first, second)]
        return way(*(explorer.encode(image, label)[0] for image in images), kind, steps, label)

    choices = [between, kind, steps, label, first_seed, second_seed, first_picture, second_picture, invert, center]
    gr.on([c.change for c in choices], interpolated, choices, output, trigger_mode="always_last", **QUEUED_EVENT)
    _show_chosen(between, {SEEDS: seeds, PICTURES: uploads})


def reconstruct_tab(explorer: Explorer) -> None:
    """A drawing or an uploaded picture, as the model gets it, and through encoder and decoder."""
    import gradio as gr

    by_hand = explorer.image_shape[2] == 1
    with gr.Row():
        with gr.Column():
            source = gr.Radio([DRAWING, UPLOAD], value=DRAWING if by_hand else UPLOAD, label="Picture")
            with gr.Column(visible=by_hand) as canvas:
                sketch = _sketchpad()
            with gr.Column(visible=not by_hand) as file:
                upload = _upload("Picture")
            invert, center = _preparation(explorer)
        with gr.Column():
            seen = _output("What the model gets")
            noise = gr.Slider(0, 1, 0, step=0.05, label="Gaussian noise, standard deviation")
            label = _class(explorer)
        with gr.Column():
            output = _output("Reconstruction")

    # Kept here, so that only a stroke, and nothing else that is changed, waits for the sketchpad to hand it over.
    drawn = gr.State(None)

    @_with_errors_shown
    def reconstructed(source, drawn, upload, invert, center, noise, label):
        picture = upload if source == UPLOAD else drawn
        if picture is None:
            return None, None
        image = drawing.with_noise(_prepared(explorer, picture, invert, center), noise, seed=0)[np.newaxis]
        return enlarged(image), enlarged(explorer.reconstruct(image, label))

    choices = [source, drawn, upload, invert, center, noise, label]
    answer = {"fn": reconstructed, "inputs": choices, "outputs": [seen, output], **QUEUED_EVENT}
    gr.on([c.change for c in choices if c is not drawn], trigger_mode="always_last", **answer)
    sketch.change(_drawn, sketch, drawn, trigger_mode="always_last", **INSTANT_EVENT).then(**answer)
    _show_chosen(source, {DRAWING: canvas, UPLOAD: file})


# What the tabs are made of

QUEUED_EVENT = {"show_progress": "hidden", "api_visibility": "undocumented"}
"""Of events whose handler is `_with_errors_shown`: Gradio shows the message of one that waits in its queue only."""

INSTANT_EVENT = QUEUED_EVENT | {"queue": False}
"""Of events that are answered at once, and never refused."""


def _with_errors_shown(function):
    """The handler of an event whose `UsageError` is shown on the page."""

    @functools.wraps(function)
    def handler(*arguments):
        import gradio as gr

        try:
            return function(*arguments)
        except UsageError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return handler


def _prepared(explorer: Explorer, picture: np.ndarray, invert: str, center: bool) -> np.ndarray:
    return drawing.to_image(picture, explorer.image_shape, invert=INVERT[invert], center=center)


def _output(label: str, at_first: Callable[[], np.ndarray] | None = None) -> gradio.Image:
    """A picture to be shown; `at_first` makes the one that is there whenever the page is opened."""
    import gradio as gr

    gr.Markdown(label)  # the image's own label would hide a corner of it
    image = gr.Image(
        label=label,
        show_label=False,
        format="png",
        interactive=False,
        elem_classes="pixels",
        buttons=["download"],
    )
    # Not as the image's value: Gradio would make it twice, and write the second over the first while that is fetched.
    if at_first is not None:
        gr.on(None, at_first, None, image, **INSTANT_EVENT)
    return image


def _sketchpad() -> gradio.Sketchpad:
    import gradio as gr

    blank = np.zeros((SIZE, SIZE, 4), np.uint8)
    sketch = gr.Sketchpad(
        # Without a picture it would wait for its brush to be chosen. With one in `composite` it would take the page's
        # first stroke for the picture's own arrival, and tell nobody of it.
        {"background": None, "layers": [blank], "composite": None},
        label="Draw",
        type="numpy",
        image_mode="RGBA",
        canvas_size=(SIZE, SIZE),
        brush=gr.Brush(default_size=SIZE // 20, colors=["#000000"], color_mode="fixed"),
        layers=False,
        buttons=[],
    )
    # Once cleared it waits for its brush again, unless there is a picture in `composite`.
    sketch.clear(lambda: {"background": None, "layers": [], "composite": blank}, None, sketch, **INSTANT_EVENT)
    return sketch


def _drawn(sketch: dict | None) -> np.ndarray | None:
    """The RGBA picture on a sketchpad; None of one on which nothing is drawn."""
    strokes = [] if sketch is None else [layer for layer in sketch["layers"] if layer is not None]
    return sketch["composite"] if any(layer[..., 3].any() for layer in strokes) else None


def _show_chosen(choice: gradio.Radio, parts: dict[str, gradio.Row | gradio.Column]) -> None:
    """Show the part of the page that is chosen."""

    def show(chosen):
        # Hidden and not taken out of the page, which would lose the drawing and could interrupt the sketchpad.
        return [type(part)(visible=True if name == chosen else "hidden") for name, part in parts.items()]

    choice.change(show, choice, list(parts.values()), **INSTANT_EVENT)


def _upload(label: str) -> gradio.Image:
    import gradio as gr

    return gr.Image(label=label, type="numpy", image_mode="RGBA", sources=["upload", "clipboard"], height=SIZE // 2)


def _seed(label: str, value: int, visible: bool = True) -> gradio.Number:
    import gradio as gr

    return gr.Number(value, label=label, precision=0, step=1, visible=visible)


def _first_class(explorer: Explorer) -> int | None:
    return 0 if explorer.num_classes else None


def _class(explorer: Explorer, choices: list[str] | None = None) -> gradio.Dropdown:
    """The class to generate or decode; hidden and None without classes."""
    import gradio as gr

    choices = [*(choices or []), *range(explorer.num_classes)]
    value = choices[0] if explorer.num_classes else None
    return gr.Dropdown(choices, value=value, label="Class", visible=explorer.num_classes > 0)


def _preparation(explorer: Explorer) -> tuple[gradio.Dropdown, gradio.Checkbox]:
    """How pictures become images of the model; by default a gray model's are taken for digits."""
    import gradio as gr

    gray = explorer.image_shape[2] == 1
    invert = gr.Dropdown(list(INVERT), value="if the border is bright" if gray else "never", label="Invert")
    return invert, gr.Checkbox(gray, label="Fit and center as MNIST does")


def _sliders(dimensions: list[int]) -> list[gradio.Slider]:
    """Four a row."""
    import gradio as gr

    sliders = []
    for start in range(0, len(dimensions), 4):
        with gr.Row():
            for dimension in dimensions[start : start + 4]:
                sliders.append(gr.Slider(-RANGE, RANGE, 0, step=0.05, label=f"z[{dimension}]", min_width=120))
    return sliders


def _slider_values(latent: list[float], chosen: list[int]) -> list:
    """What the sliders show. One that is beyond the slider's end stands there, and keeps its value until moved."""
    import gradio as gr

    count = min(SLIDERS, len(latent))
    shown = [
        gr.Slider(value=round(float(np.clip(latent[d], -RANGE, RANGE)), 2), label=f"z[{d}]", visible=True)
        for d in chosen
    ]
    return shown + [gr.Slider(visible=False) for _ in range(count - len(shown))]
