"""The explorer in a real browser: typing, moving sliders, drawing and uploading show the outputs of the model."""

import importlib.util
import io
import time
from dataclasses import dataclass

import numpy as np
import pytest
from browser_helpers import free_port, overflow, watched_page
from model_helpers import CLASSES, LATENT, SHAPE, make_denoiser, make_vae, pixels
from PIL import Image

from keras_gen.models import export
from keras_gen.report.explorer import app, drawing, tabs
from keras_gen.report.explorer.model import Explorer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs gradio: pip install gradio"),
]

SECONDS = 20
"""Time limit for a picture on a busy machine; usually it takes a tenth of a second."""


@pytest.fixture(scope="module")
def explorers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    models = {"vae": make_vae(), "denoiser": make_denoiser(), "conditional": make_vae(num_classes=CLASSES)}
    return {
        kind: Explorer(export.save(model, folder / kind, description={"recipe": kind}))
        for kind, model in models.items()
    }


@pytest.fixture(scope="module")
def address(explorers):
    """URL of the served page with all models, the VAE first."""
    with app.running(list(explorers.values()), "127.0.0.1", free_port()) as url:
        yield url


@pytest.fixture
def view(chromium, address):
    """The opened page; afterwards it must have contacted no other machine and logged no error."""
    with watched_page(chromium) as watched:
        watched.page.goto(address)
        view = View(watched.page)
        view.open_tab("Sample")
        yield view
        assert [url for url in watched.fetched if not url.startswith(address)] == []
        assert watched.complaints == []


@dataclass
class View:
    """Actions and observations of a user of the page."""

    page: object

    def visible(self, locator):
        """The visible one of the matching parts: each model has its own parts, and those of one model are visible."""
        return locator.locator("visible=true").first

    def open_tab(self, title):
        self.visible(self.page.get_by_role("tab", name=title)).click()

    def field(self, label):
        return self.visible(self.page.get_by_label(label, exact=True))

    def choose(self, option):
        self.visible(self.page.get_by_role("radio", name=option)).check()

    def choose_from(self, label, option):
        self.field(label).click()
        self.visible(self.page.get_by_role("option", name=option)).click()

    def slide(self, label, key):
        """Move a slider with the keyboard."""
        self.field(f"range slider for {label}").press(key)

    def type(self, label, value):
        self.field(label).fill(str(value))

    def upload(self, label, path):
        named = self.page.get_by_test_id("block-label").get_by_text(label, exact=True)
        part = self.visible(self.page.locator(".block").filter(has=named))
        part.locator("input[type=file]").set_input_files(path)
        part.get_by_label("Remove Image").wait_for()

    def pictures(self):
        """The pictures that are shown, in gray as an array each."""
        sources = self.page.locator(".pixels img").locator("visible=true").evaluate_all("all => all.map(i => i.src)")
        return [self._read(source) for source in sources]

    def _read(self, source):
        return np.asarray(Image.open(io.BytesIO(self.page.request.get(source).body())).convert("L"))

    def wait_for(self, condition, what):
        """Poll until `condition` holds of the pictures, and return them."""
        deadline = time.monotonic() + SECONDS
        while not condition(pictures := self.pictures()):
            shapes = [picture.shape for picture in pictures]
            assert time.monotonic() < deadline, f"not shown: {what}; shown are pictures of shapes {shapes}"
            self.page.wait_for_timeout(50)
        return pictures

    def shows(self, *expected):
        """Wait for just these pictures, pixel for pixel."""

        def are_there(pictures):
            return len(pictures) == len(expected) and all(map(np.array_equal, pictures, expected))

        self.wait_for(are_there, f"pictures of shapes {[picture.shape for picture in expected]}")

    def draw(self, *points):
        """A stroke through points, in fractions of the canvas."""
        box = self.visible(self.page.locator("canvas")).bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place)
        self.page.mouse.up()


def original(picture):
    """An enlarged image of the small models in its own size, `(1, 8, 8, 1)`."""
    times = picture.shape[0] // SHAPE[0]
    return picture[::times, ::times][np.newaxis, ..., np.newaxis]


# What the tabs do


def test_a_seed_makes_its_images_again_and_a_number_as_many(view, explorers):
    vae = explorers["vae"]
    view.shows(tabs.enlarged(vae.sample(25, 0)))
    for seed in (5, 6, 5):
        view.type("Seed", seed)
        view.shows(tabs.enlarged(vae.sample(25, seed)))
    view.slide("Images", "Home")
    view.shows(tabs.enlarged(vae.sample(1, 5)))
    view.visible(view.page.get_by_role("button", name="Another seed")).click()
    view.wait_for(lambda _: view.field("Seed").input_value() != "5", "another seed")
    view.shows(tabs.enlarged(vae.sample(1, int(view.field("Seed").input_value()))))


def test_a_slider_moves_one_dimension_of_the_latent(view, explorers):
    vae, latent = explorers["vae"], np.zeros((1, LATENT))
    view.open_tab("Latent dimensions")
    view.shows(tabs.enlarged(vae.decode(latent)))
    for dimension, key, value in ((1, "End", 3), (0, "Home", -3)):
        view.slide(f"z[{dimension}]", key)
        latent[0, dimension] = value
        view.shows(tabs.enlarged(vae.decode(latent)))
    view.type("Seed", 9)
    view.visible(view.page.get_by_role("button", name="Latent of this seed")).click()
    view.shows(tabs.enlarged(vae.sample(1, 9)))
    shown = [float(view.field(f"number input for z[{d}]").input_value()) for d in range(LATENT)]
    np.testing.assert_allclose(shown, vae.latent(9), atol=0.005)
    view.visible(view.page.get_by_role("button", name="All to 0")).click()
    view.shows(tabs.enlarged(vae.decode(np.zeros((1, LATENT)))))


def test_between_two_seeds_there_is_a_strip(view, explorers):
    vae = explorers["vae"]
    view.open_tab("Interpolate")
    view.shows(tabs.enlarged(vae.interpolate(vae.latent(0), vae.latent(1)), columns=10))
    view.type("First seed", 3)
    view.type("Second seed", 8)
    ends = vae.latent(3), vae.latent(8)
    view.shows(tabs.enlarged(vae.interpolate(*ends), columns=10))
    view.choose("linear")
    view.slide("Images", "End")
    view.shows(tabs.enlarged(vae.interpolate(*ends, 20, "linear"), columns=20))


def test_between_two_pictures_there_is_a_strip(view, explorers, tmp_path):
    vae, images = explorers["vae"], pixels(2)
    view.open_tab("Interpolate")
    view.choose("two pictures")
    view.choose_from("Invert", "never")
    view.field("Scale and center as in MNIST").uncheck()
    for index, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{index}.png")
        view.upload(("First picture", "Second picture")[index], tmp_path / f"{index}.png")
    view.shows(tabs.enlarged(vae.interpolate(*vae.encode(images)), columns=10))


def test_a_drawing_is_reconstructed_stroke_by_stroke_without_choosing_the_brush(view, explorers):
    view.open_tab("Reconstruct")
    view.page.get_by_label("Brush Size").wait_for()  # which is there once the brush is in hand
    assert view.page.get_by_text("select the draw tool").count() == 0
    before = reconstructed_drawing(view, explorers["vae"], (0.4, 0.3), (0.4, 0.7))
    after = reconstructed_drawing(view, explorers["vae"], (0.6, 0.3), (0.6, 0.7), unlike=before)
    assert np.count_nonzero(after) > np.count_nonzero(before)
    view.visible(view.page.get_by_label("Clear canvas")).click()
    view.shows()
    again = reconstructed_drawing(view, explorers["vae"], (0.4, 0.3), (0.4, 0.7))
    np.testing.assert_array_equal(again, before)


def reconstructed_drawing(view, explorer, *points, unlike=None):
    """Draw a stroke; return the model's input once its reconstruction is shown."""

    def is_reconstructed(pictures):
        if len(pictures) != 2 or (unlike is not None and np.array_equal(original(pictures[0]), unlike)):
            return False
        return np.array_equal(pictures[1], tabs.enlarged(explorer.reconstruct(original(pictures[0]))))

    view.draw(*points)
    image = original(view.wait_for(is_reconstructed, "a drawing and its reconstruction")[0])
    assert image[0, SHAPE[0] // 2, :, 0].max() > 200
    assert image[0, :, 0, 0].max() == 0  # where nothing is drawn it is black
    return image


def test_an_upload_is_denoised_by_the_model_that_is_switched_to(view, explorers, tmp_path):
    denoiser, (picture,) = explorers["denoiser"], pixels(1)
    Image.fromarray(picture[..., 0]).save(tmp_path / "upload.png")
    view.choose_from("Model", "denoiser")
    view.open_tab("Reconstruct")
    view.choose("uploaded")
    view.upload("Picture", tmp_path / "upload.png")
    image = drawing.to_image(picture, SHAPE, center=True)
    view.shows(*map(tabs.enlarged, (image[np.newaxis], denoiser.reconstruct(image[np.newaxis]))))
    view.slide("Gaussian noise, standard deviation", "End")
    noisy = drawing.with_noise(image, 1, seed=0)[np.newaxis]
    view.shows(*map(tabs.enlarged, (noisy, denoiser.reconstruct(noisy))))


def test_models_are_switched_and_a_class_chosen(view, explorers):
    view.choose_from("Model", "conditional")
    conditional = explorers["conditional"]
    view.shows(tabs.enlarged(conditional.sample(25, 0)))
    view.choose_from("Class", "2")
    view.shows(tabs.enlarged(conditional.sample(25, 0, 2)))
    view.choose_from("Model", "vae")
    view.shows(tabs.enlarged(explorers["vae"].sample(25, 0)))


# What the page says and how it looks


def test_wrong_input_is_answered_with_a_line(view, explorers):
    view.type("Seed", "")
    message = view.page.get_by_test_id("toast-body")
    message.wait_for()
    assert "seed must be an integer from 0 to 2147483647, received: None" in message.inner_text()
    assert "Traceback" not in view.page.inner_text("body")
    view.type("Seed", 4)
    view.shows(tabs.enlarged(explorers["vae"].sample(25, 4)))


def test_on_a_phone_the_tabs_are_in_a_menu_and_none_is_too_wide(view):
    view.page.set_viewport_size({"width": 390, "height": 844})
    menu = view.visible(view.page.locator(".overflow-menu > button"))
    for title, count in (("Latent dimensions", 1), ("Interpolate", 1), ("Reconstruct", 0), ("Sample", 1)):
        if title != "Sample":
            menu.click()
            view.visible(view.page.locator(".overflow-dropdown button", has_text=title)).click()
        else:
            view.open_tab(title)
        view.wait_for(lambda pictures, count=count: len(pictures) == count, title)
        assert overflow(view.page) == 0
