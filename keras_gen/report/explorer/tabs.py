"""The tabs of the explorer page, one per function of a SavedModel."""

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
"""Maximum number of latent dimensions with a slider."""

RANGE = 3.0
"""Limit of a slider on both sides of 0, which covers 99.7% of a standard normal distribution."""

SIZE = 320
"""Longer side of a picture, and size of the drawing canvas, in pixels."""

DRAWN = "random"
INVERT = {"if the border is bright": None, "always": True, "never": False}
SEEDS, PICTURES = "two seeds", "two pictures"
DRAWING, UPLOAD = "drawn", "uploaded"


def available_tabs(explorer: Explorer) -> dict[str, Callable[[Explorer], None]]:
    """Return the tabs that the functions of a SavedModel allow, as title to the function that builds the tab.

    The functions must be called inside `gradio.Tab`.
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
    """Return images in a grid, or a single image without a frame, enlarged by a whole factor without smoothing.

    Args:
        images: uint8 array of shape `(n, height, width, channels)`.
        columns: int, as in `keras_gen.utils.image_utils.grid`.

    Returns:
        uint8 array of shape `(H, W)` or `(H, W, 3)`. The longer side is at most 320 pixels for an image, 640 for a grid
        and 1,280 if `columns` is given, unless the images themselves are larger.

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
    """Build the tab of generated images, with their seed, number and class."""
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
    """Build the tab of a decoded image with a slider for each latent dimension, or for the most active ones."""
    import gradio as gr

    (size,) = explorer.latent_shape
    first = explorer.active_dimensions(SLIDERS)
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
    """Build the tab of interpolations between the latents of two seeds or two pictures."""
    import gradio as gr

    ends = [SEEDS] * explorer.has_prior + [PICTURES] * ("encode" in explorer.functions)
    kinds = list(explorer.interpolations)
    with gr.Row():
        between = gr.Radio(ends, value=ends[0], label="Between", visible=len(ends) > 1)
        kind = gr.Radio(kinds, value=kinds[0], label="Kind")
        steps = gr.Slider(2, 20, 10, step=1, label="Images")
        label = _class(explorer)
    with gr.Row(visible=ends[0] == SEEDS) as seeds:
        first_seed, second_seed = _seed("First seed", 0), _seed("Second seed", 1)
    with gr.Row(visible=ends[0] == PICTURES) as uploads:
        first_picture, second_picture = _upload("First picture"), _upload("Second picture")
        invert, center = _preparation(explorer)

    def interpolate(start, end, kind, steps, label):
        return enlarged(explorer.interpolate(start, end, steps, kind, label), columns=steps)

    def first_images():
        return interpolate(explorer.latent(0), explorer.latent(1), kinds[0], 10, _first_class(explorer))

    output = _output("Interpolated images", first_images if explorer.has_prior else None)

    @_with_errors_shown
    def interpolated(between, kind, steps, label, first_seed, second_seed, first, second, invert, center):
        if between == SEEDS:
            return interpolate(explorer.latent(first_seed), explorer.latent(second_seed), kind, steps, label)
        if first is None or second is None:
            return None
        images = [_prepared(explorer, picture, invert, center)[np.newaxis] for picture in (first, second)]
        return interpolate(*(explorer.encode(image, label)[0] for image in images), kind, steps, label)

    choices = [between, kind, steps, label, first_seed, second_seed, first_picture, second_picture, invert, center]
    gr.on([c.change for c in choices], interpolated, choices, output, trigger_mode="always_last", **QUEUED_EVENT)
    _show_chosen(between, {SEEDS: seeds, PICTURES: uploads})


def reconstruct_tab(explorer: Explorer) -> None:
    """Build the tab of a drawing or uploaded picture, the model's input, and its reconstruction."""
    import gradio as gr

    is_gray = explorer.image_shape[2] == 1
    with gr.Row():
        with gr.Column():
            source = gr.Radio([DRAWING, UPLOAD], value=DRAWING if is_gray else UPLOAD, label="Picture")
            with gr.Column(visible=is_gray) as canvas:
                sketch = _sketchpad()
            with gr.Column(visible=not is_gray) as file:
                upload = _upload("Picture")
            invert, center = _preparation(explorer)
        with gr.Column():
            seen = _output("Model input")
            noise = gr.Slider(0, 1, 0, step=0.05, label="Gaussian noise, standard deviation")
            label = _class(explorer)
        with gr.Column():
            output = _output("Reconstruction")

    # Kept as state, so that only a stroke, not another change, waits for the sketchpad to send its picture.
    drawn = gr.State(None)

    @_with_errors_shown
    def reconstructed(source, drawn, upload, invert, center, noise, label):
        picture = upload if source == UPLOAD else drawn
        if picture is None:
            return None, None
        image = drawing.with_noise(_prepared(explorer, picture, invert, center), noise, seed=0)[np.newaxis]
        return enlarged(image), enlarged(explorer.reconstruct(image, label))

    choices = [source, drawn, upload, invert, center, noise, label]
    event = {"fn": reconstructed, "inputs": choices, "outputs": [seen, output], **QUEUED_EVENT}
    gr.on([c.change for c in choices if c is not drawn], trigger_mode="always_last", **event)
    sketch.change(_drawn, sketch, drawn, trigger_mode="always_last", **INSTANT_EVENT).then(**event)
    _show_chosen(source, {DRAWING: canvas, UPLOAD: file})


# Components and events

QUEUED_EVENT = {"show_progress": "hidden", "api_visibility": "undocumented"}
"""Options of events that may fail: Gradio shows error messages of queued events only."""

INSTANT_EVENT = QUEUED_EVENT | {"queue": False}
"""Options of events that are answered immediately and never fail."""


def _with_errors_shown(function):
    """Decorate an event handler so that its `UsageError` is shown on the page."""

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


def _output(label: str, initial: Callable[[], np.ndarray] | None = None) -> gradio.Image:
    """Add an output picture; `initial` makes the picture shown when the page is opened."""
    import gradio as gr

    gr.Markdown(label)  # the label of gr.Image would cover a corner of it
    options = {"show_label": False, "format": "png", "interactive": False, "buttons": ["download"]}
    image = gr.Image(label=label, elem_classes="pixels", **options)
    # Not as the value of the image: Gradio would compute it twice, and overwrite the first while it is fetched.
    if initial is not None:
        gr.on(None, initial, None, image, **INSTANT_EVENT)
    return image


def _sketchpad() -> gradio.Sketchpad:
    import gradio as gr

    blank = np.zeros((SIZE, SIZE, 4), np.uint8)
    sketch = gr.Sketchpad(
        # Without a picture it would wait until the brush is selected. With one in `composite` it would not send a
        # change event for the first stroke.
        {"background": None, "layers": [blank], "composite": None},
        label="Draw",
        type="numpy",
        image_mode="RGBA",
        canvas_size=(SIZE, SIZE),
        brush=gr.Brush(default_size=SIZE // 20, colors=["#000000"], color_mode="fixed"),
        layers=False,
        buttons=[],
    )
    # Once cleared it waits for the brush again unless there is a picture in `composite`.
    sketch.clear(lambda: {"background": None, "layers": [], "composite": blank}, None, sketch, **INSTANT_EVENT)
    return sketch


def _drawn(sketch: dict | None) -> np.ndarray | None:
    """Return the RGBA picture of a sketchpad; None if nothing is drawn."""
    strokes = [] if sketch is None else [layer for layer in sketch["layers"] if layer is not None]
    return sketch["composite"] if any(layer[..., 3].any() for layer in strokes) else None


def _show_chosen(choice: gradio.Radio, parts: dict[str, gradio.Row | gradio.Column]) -> None:
    """Show only the chosen one of several parts of the page."""

    def show(chosen):
        # Hidden, not removed, which would lose the drawing and could interrupt the sketchpad.
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
    """Add a menu of the class to generate or decode; hidden and None without classes."""
    import gradio as gr

    value = (choices or [0])[0] if explorer.num_classes else None
    classes = range(explorer.num_classes)
    choices = [*(choices or []), *(zip(explorer.class_names, classes) if explorer.class_names else classes)]
    return gr.Dropdown(choices, value=value, label="Class", visible=explorer.num_classes > 0)


def _preparation(explorer: Explorer) -> tuple[gradio.Dropdown, gradio.Checkbox]:
    """Add the options of converting pictures to images; the defaults for a gray model suit digits."""
    import gradio as gr

    gray = explorer.image_shape[2] == 1
    invert = gr.Dropdown(list(INVERT), value="if the border is bright" if gray else "never", label="Invert")
    return invert, gr.Checkbox(gray, label="Scale and center as in MNIST")


def _sliders(dimensions: list[int]) -> list[gradio.Slider]:
    """Add sliders, four per row."""
    import gradio as gr

    sliders = []
    for start in range(0, len(dimensions), 4):
        with gr.Row():
            for dimension in dimensions[start : start + 4]:
                sliders.append(gr.Slider(-RANGE, RANGE, 0, step=0.05, label=f"z[{dimension}]", min_width=120))
    return sliders


def _slider_values(latent: list[float], chosen: list[int]) -> list:
    """Return updates of the sliders. A value out of range is shown at the limit and kept until its slider is moved."""
    import gradio as gr

    count = min(SLIDERS, len(latent))
    values = {d: round(float(np.clip(latent[d], -RANGE, RANGE)), 2) for d in chosen}
    shown = [gr.Slider(value=value, label=f"z[{d}]", visible=True) for d, value in values.items()]
    return shown + [gr.Slider(visible=False) for _ in range(count - len(shown))]
