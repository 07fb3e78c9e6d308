"""The explorer page over HTTP (only if Gradio is installed), and the errors of its command."""

import contextlib
import importlib.util
import io
import json
import os
import re
import signal
import socket
import types
import urllib.error
import urllib.parse
import urllib.request

import browser_helpers
import numpy as np
import pytest
from command_helpers import call
from model_helpers import CLASSES, LATENT, SHAPE, make_denoiser, make_gan, make_vae, pixels
from PIL import Image

import keras_gen
from keras_gen import networks
from keras_gen.models import export
from keras_gen.report.explorer import app, drawing, tabs
from keras_gen.report.explorer.model import Explorer
from keras_gen.utils import trained_models
from keras_gen.utils.errors import UsageError

pytestmark = pytest.mark.usefixtures("no_network")
needs_gradio = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs gradio: pip install gradio")


class Explorers(dict):
    """Explorers by kind, each exported and loaded on its first use."""

    MODELS = {
        "vae": lambda: (make_vae(), None),
        "denoiser": lambda: (make_denoiser(), None),
        "conditional": lambda: (make_vae(num_classes=CLASSES), None),
        "sampler": lambda: (make_gan(), ["generate"]),
    }

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, kind):
        model, functions = self.MODELS[kind]()
        self[kind] = Explorer(export.save(model, self.folder / kind, functions=functions))
        return self[kind]


@pytest.fixture(scope="module")
def explorers(tmp_path_factory):
    return Explorers(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def free_port():
    return browser_helpers.free_port()


# Without Gradio


@pytest.mark.parametrize(
    ("functions", "has_prior", "has_latent_vector", "titles"),
    [
        ("generate decode encode reconstruct", True, True, "Sample, Latent dimensions, Interpolate, Reconstruct"),
        ("decode encode reconstruct", False, False, "Interpolate, Reconstruct"),  # an autoencoder
        ("generate", False, False, "Sample"),
        ("decode reconstruct", False, False, "Reconstruct"),
    ],
)
def test_tabs_depend_on_the_functions_of_the_saved_model(functions, has_prior, has_latent_vector, titles):
    explorer = types.SimpleNamespace(
        functions=functions.split(), has_prior=has_prior, has_latent_vector=has_latent_vector
    )
    assert ", ".join(tabs.available_tabs(explorer)) == titles


def test_tabs_of_a_vae_are_all_there_are(explorers):
    assert list(tabs.available_tabs(explorers["vae"])) == ["Sample", "Latent dimensions", "Interpolate", "Reconstruct"]


@pytest.mark.parametrize(
    ("count", "columns", "shape"), [(1, None, (320, 320)), (4, None, (19 * 33, 19 * 33)), (10, 10, (10 * 14, 91 * 14))]
)
def test_images_are_enlarged_in_whole_pixels(count, columns, shape):
    images = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)
    picture = tabs.enlarged(images, columns)
    assert (picture.shape, picture.dtype) == (shape, np.uint8)
    times, frame = (40, 0) if count == 1 else (33 if columns is None else 14, 1)
    corner = picture[frame * times : (frame + 8) * times : times, frame * times : (frame + 8) * times : times]
    np.testing.assert_array_equal(corner, images[0, ..., 0])
    np.testing.assert_array_equal(picture, picture[::times, ::times].repeat(times, 0).repeat(times, 1))
    assert tabs.enlarged(np.zeros((1, 400, 300, 3), np.uint8)).shape == (400, 300, 3)


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gradio" else find(name))
    outcome = call("explore", "saved_model")
    assert outcome.error == "error: the explorer needs gradio, which is not installed: pip install gradio"
    with pytest.raises(UsageError, match="is not installed"):
        app.build(["an explorer"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "path must be a SavedModel, a finished run directory or a trained model ("),
        (["missing", "--port", 0], "port must be an integer from 1 to 65535, received: 0"),
        (["missing", "--port", -1], "port must be an integer from 1 to 65535, received: -1"),
        (["missing", "--port", 70000], "port must be an integer from 1 to 65535, received: 70000"),
        (["missing", "--port", "web"], "invalid int value"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(monkeypatch, arguments, message):
    monkeypatch.setattr(app, "check_gradio", lambda: None)
    monkeypatch.setattr(app.socket, "create_server", lambda address: socket.socket())
    assert message in call("explore", *arguments).error


def test_an_unavailable_address_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UsageError, match=rf"can't listen on 127.0.0.1:{port}: Address already in use"):
            app.check_address("127.0.0.1", port)
    assert app.check_address("127.0.0.1", port) == ("127.0.0.1", port)
    with pytest.raises(UsageError, match=r"can't listen on 192\.0\.2\.1:\d+: "):
        app.check_address("192.0.2.1", port)  # an address for documentation, nobody's


def test_an_unknown_host_is_refused(monkeypatch):
    def unknown(address):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(app.socket, "create_server", unknown)
    with pytest.raises(UsageError, match="host must be the name or address of an interface of this machine, received"):
        app.check_address("no such host", 7860)


def test_the_command_serves_the_given_models_on_this_machine_only(monkeypatch, explorers):
    served = []
    monkeypatch.setattr(app, "check_gradio", lambda: None)
    monkeypatch.setattr(app, "check_address", lambda *address: address)

    def serve(explorers, host, port, on_start):
        served.append(([explorer.path for explorer in explorers], host, port))
        on_start(f"http://{host}:{port}/")

    monkeypatch.setattr(app, "serve", serve)
    paths = [explorers[kind].path for kind in ("vae", "sampler")]
    outcome = call("explore", *paths, "--port", 8001)
    assert (outcome.code, outcome.out) == (0, "open http://127.0.0.1:8001/ (Ctrl-C to stop)\n")
    assert served == [(paths, "127.0.0.1", 8001)]


def test_without_paths_the_command_serves_all_trained_models(monkeypatch, explorers):
    served = []
    monkeypatch.setattr(app, "check_gradio", lambda: None)
    monkeypatch.setattr(app, "check_address", lambda *address: address)
    monkeypatch.setattr(app, "serve", lambda explorers, *rest: served.extend(each.path for each in explorers))
    monkeypatch.setattr(trained_models, "names", lambda: ["vae-mlp"])
    assert call("explore").code == 0
    assert served == [trained_models.find("vae-mlp")]
    monkeypatch.setattr(trained_models, "names", list)
    assert call("explore").error == "error: PATH must be given, since there are no trained models, received: None"


# With Gradio


class Browser:
    """A client of the page that reads its configuration, sends events and fetches images."""

    def __init__(self, url):
        self.url = url
        self.config = json.loads(self.fetch("config"))
        self.components = {component["id"]: component for component in self.config["components"]}

    def fetch(self, address, body=None):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(urllib.parse.urljoin(self.url, address), body, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.read()

    def labels(self, kind):
        """The labels of the components of a kind, in the order of the page."""
        return [c["props"].get("label") for c in self.components.values() if c["type"] == kind]

    def send(self, label, event, *inputs):
        """The answer to an event of the first component with this label or text; `inputs` without the states."""
        target = next(i for i, c in self.components.items() if label in (c["props"].get("label"), text_of(c)))
        (dependency,) = [d for d in self.config["dependencies"] if [target, event] in map(list, d["targets"])]
        given = iter(inputs)
        data = [None if self.components[i]["type"] == "state" else next(given) for i in dependency["inputs"]]
        return self.run(dependency, data)

    def run(self, dependency, data):
        """The outputs of a function of the page."""
        body = {"data": data, "fn_index": dependency["id"], "session_hash": "a-session"}
        return json.loads(self.fetch("gradio_api/run/predict", json.dumps(body).encode()))["data"]

    def upload(self, image):
        """An array as a file that the server has; what an event is sent for it."""
        import httpx  # which Gradio comes with

        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="png")
        reply = httpx.post(
            self.url + "gradio_api/upload", files={"files": ("a.png", buffer.getvalue())}, trust_env=False
        )
        return {"path": reply.json()[0], "meta": {"_type": "gradio.FileData"}}

    def opened(self):
        """The images that are shown when the page is opened, by their labels."""
        shown = {}
        for dependency in self.config["dependencies"]:
            if any(event == "load" for _, event in dependency["targets"]):
                (sent,) = self.run(dependency, [])
                shown[self.components[dependency["outputs"][0]]["props"]["label"]] = self.pixels(sent)
        return shown

    def pixels(self, sent):
        """Of an image in an answer."""
        return np.asarray(Image.open(io.BytesIO(self.fetch(sent["url"]))).convert("L"))


def text_of(component):
    return component["props"].get("value") if component["type"] == "button" else None


@pytest.fixture
def browse(explorers, free_port):
    """Serves the page of some explorers and opens it."""
    with contextlib.ExitStack() as stack:

        def opened(*kinds):
            chosen = [explorers[kind] for kind in kinds]
            return Browser(stack.enter_context(app.running(chosen, "127.0.0.1", free_port)))

        yield opened


@needs_gradio
def test_the_page_is_opened_with_images_in_place(browse, explorers):
    shown = browse("vae").opened()
    vae = explorers["vae"]
    expected = {"Generated images": vae.sample(25), "Decoded image": vae.decode(np.zeros((1, LATENT)))}
    for label, images in expected.items():
        np.testing.assert_array_equal(shown.pop(label), tabs.enlarged(images))
    (row,) = shown.values()
    np.testing.assert_array_equal(row, tabs.enlarged(vae.interpolate(vae.latent(0), vae.latent(1)), columns=10))


@needs_gradio
@pytest.mark.slow
def test_a_seed_a_number_and_a_class_make_a_grid(browse, explorers):
    browser = browse("conditional")
    for label, chosen in ((2, 2), (tabs.DRAWN, None)):
        (sent,) = browser.send("Seed", "change", 5, 4, label)
        np.testing.assert_array_equal(
            browser.pixels(sent), tabs.enlarged(explorers["conditional"].sample(4, 5, chosen))
        )
    (seed,) = browser.send("Another seed", "click")
    assert 0 <= seed < 2**31


@needs_gradio
def test_sliders_move_the_latent_that_the_session_has(browse, explorers):
    browser, explorer = browse("vae"), explorers["vae"]
    chosen, latent = list(range(LATENT)), np.zeros((1, LATENT))
    for dimension, value in ((1, 2.5), (0, -1.0), (1, -3.0)):
        latent[0, dimension] = value
        _, sent = browser.send(f"z[{dimension}]", "input", chosen, None, value)
        np.testing.assert_array_equal(browser.pixels(sent), tabs.enlarged(explorer.decode(latent)))
    _, sent, *sliders = browser.send("Latent of this seed", "click", 9, chosen, None)
    np.testing.assert_array_equal(browser.pixels(sent), tabs.enlarged(explorer.sample(1, 9)))
    assert [slider["value"] for slider in sliders] == [round(float(z), 2) for z in explorer.latent(9)]
    _, sent, *sliders = browser.send("All to 0", "click", chosen, None)
    np.testing.assert_array_equal(browser.pixels(sent), tabs.enlarged(explorer.decode(np.zeros((1, LATENT)))))
    assert [slider["value"] for slider in sliders] == [0.0] * LATENT


@needs_gradio
@pytest.mark.slow
def test_of_many_dimensions_those_chosen_have_sliders(browse, explorers, tmp_path):
    wide = networks.mlp_decoder(SHAPE, latent_dim=20, hidden=(6,))
    encoder = networks.mlp_encoder(SHAPE, latent_dim=20, hidden=(6,))
    explorer = explorers["wide"] = Explorer(export.save(keras_gen.VAE(encoder, wide), tmp_path / "wide"))
    browser = browse("wide")
    active = explorer.active_dimensions(16)
    assert len(active) == 16 and active != sorted(active)
    first = [f"z[{dimension}]" for dimension in active]
    assert [label for label in browser.labels("slider") if label.startswith("z[")] == first
    sliders = browser.send("Dimensions of 20, at most 16", "change", [19, 3])
    assert [(slider.get("label"), slider["visible"]) for slider in sliders[:3]] == [
        ("z[19]", True),
        ("z[3]", True),
        (None, False),
    ]
    _, sent = browser.send(first[0], "input", [19, 3], None, 2.0)  # the first slider, whatever it moves now
    latent = np.zeros((1, 20))
    latent[0, 19] = 2
    np.testing.assert_array_equal(browser.pixels(sent), tabs.enlarged(explorer.decode(latent)))


@needs_gradio
@pytest.mark.slow
def test_interpolations_between_seeds_and_between_pictures(browse, explorers):
    browser, vae = browse("vae"), explorers["vae"]
    kept = ["never", False]
    (sent,) = browser.send("Kind", "change", tabs.SEEDS, "linear", 4, None, 3, 8, None, None, *kept)
    expected = vae.interpolate(vae.latent(3), vae.latent(8), 4, "linear")
    np.testing.assert_array_equal(browser.pixels(sent), tabs.enlarged(expected, columns=4))
    first, second = pixels(2)[..., 0]
    files = [browser.upload(first), browser.upload(second)]
    (sent,) = browser.send("Kind", "change", tabs.PICTURES, "spherical", 3, None, 3, 8, *files, *kept)
    expected = vae.interpolate(*vae.encode(np.stack([first, second])), 3, "spherical")
    np.testing.assert_array_equal(browser.pixels(sent), tabs.enlarged(expected, columns=3))
    assert browser.send("Kind", "change", tabs.PICTURES, "linear", 3, None, 3, 8, files[0], None, *kept) == [None]


@needs_gradio
@pytest.mark.slow
def test_a_drawing_and_a_noisy_upload_are_reconstructed(browse, explorers):
    browser, denoiser = browse("denoiser"), explorers["denoiser"]
    strokes = np.zeros((320, 320, 4), np.uint8)  # transparent, as the sketchpad sends it
    strokes[40:200, 60:90, 3] = 255
    file = browser.upload(strokes)
    browser.send("Draw", "change", {"background": None, "layers": [file], "composite": file})
    noise = "Gaussian noise, standard deviation"
    sent = browser.send(noise, "change", tabs.DRAWING, None, "if the border is bright", True, 0, None)
    image = drawing.to_image(strokes, SHAPE, center=True)
    assert image.max() == 255 and image[0, 0, 0] == 0
    for one, images in zip(sent, (image, denoiser.reconstruct(image[None])[0]), strict=True):
        np.testing.assert_array_equal(browser.pixels(one), tabs.enlarged(images[None]))
    (picture,) = pixels(1)
    sent = browser.send(noise, "change", tabs.UPLOAD, browser.upload(picture[..., 0]), "never", False, 0.5, None)
    noisy = drawing.with_noise(picture, 0.5, seed=0)
    for one, images in zip(sent, (noisy, denoiser.reconstruct(noisy[None])[0]), strict=True):
        np.testing.assert_array_equal(browser.pixels(one), tabs.enlarged(images[None]))
    file = browser.upload(np.zeros_like(strokes))
    browser.send("Draw", "change", {"background": None, "layers": [file], "composite": file})
    assert browser.send(noise, "change", tabs.DRAWING, None, "never", True, 0, None) == [None, None]


@needs_gradio
def test_an_error_is_shown_on_the_page(browse):
    browser = browse("vae")
    with pytest.raises(urllib.error.HTTPError) as error:
        browser.send("Seed", "change", None, 4, None)
    assert "seed must be an integer from 0" in json.load(error.value)["error"]


@needs_gradio
@pytest.mark.slow
def test_a_menu_switches_between_models(browse, explorers):
    browser = browse("vae", "sampler", "denoiser")
    with pytest.raises(UsageError, match="explorers must be at least one, received:"):
        app.build([])
    (choice,) = [c["props"] for c in browser.components.values() if c["props"].get("label") == "Model"]
    assert [name for name, _ in choice["choices"]] == [
        f"{kind} ({explorers[kind].path})" for kind in ("vae", "sampler", "denoiser")
    ]
    tab_titles = ["Sample", "Latent dimensions", "Interpolate", "Reconstruct", "Sample", "Interpolate", "Reconstruct"]
    assert browser.labels("tabitem") == tab_titles
    shown = browser.send("Model", "change", choice["choices"][1][0])
    assert [part["visible"] for part in shown] == [False, True, False]


@needs_gradio
def test_no_other_machine_is_contacted(browse, monkeypatch):
    asked = []
    connect = socket.socket.connect

    def watched(self, address):
        asked.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setenv("GRADIO_SHARE", "True")
    browser = browse("vae")
    browser.opened()
    hosts = {address[0] for address in asked if isinstance(address, tuple)}
    assert hosts == {"127.0.0.1"}
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    html, theme = browser.fetch("").decode(), browser.fetch("theme.css").decode()
    assert re.findall(r"<(?:script|img|iframe)[^>]+(?:src)=[\"']?(?:https?:)?//[^\"' >]+", html) == []
    assert re.findall(r"<link[^>]+rel=[\"']stylesheet[\"'][^>]+href=[\"'](?:https?:)?//[^\"' >]+", html) == []
    assert re.findall(r"(?:https?:)?//[^\s'\")]+", theme.replace("http://www.w3.org/2000/svg", "")) == []
    assert browser.config.get("stylesheets", []) == []


@needs_gradio
def test_pictures_are_deleted_with_the_page(explorers, free_port, monkeypatch, tmp_path):
    monkeypatch.setattr(app.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(app.FOLDER_VARIABLE, "as before")
    with app.running([explorers["sampler"]], "127.0.0.1", free_port) as url:
        Browser(url).opened()
        assert list(tmp_path.rglob("*.png"))
    assert list(tmp_path.iterdir()) == []
    assert os.environ[app.FOLDER_VARIABLE] == "as before"
    app.check_address("127.0.0.1", free_port)


@needs_gradio
@pytest.mark.parametrize(
    "name", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.slow), pytest.param("SIGHUP", marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_server_and_nothing_is_left(explorers, free_port, monkeypatch, tmp_path, name):
    number, urls = getattr(signal, name), []
    before = signal.signal(number, signal.default_int_handler)  # a failure must not end the test process
    monkeypatch.setattr(app.tempfile, "tempdir", str(tmp_path))

    def ask(url):
        urls.append(url)
        assert list(tmp_path.iterdir())
        os.kill(os.getpid(), number)

    try:
        app.serve([explorers["sampler"]], "127.0.0.1", free_port, ask)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert urls == [f"http://127.0.0.1:{free_port}/"]
    assert list(tmp_path.iterdir()) == []
    app.check_address("127.0.0.1", free_port)


@needs_gradio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:7860"}, None),
        ({"Host": "localhost:7860", "Origin": "http://localhost:7860"}, None),
        ({"Host": "[::1]:7860"}, None),
        ({"Host": "My-Machine"}, None),
        ({"Host": "192.168.0.7:7860", "Content-Length": "1000"}, None),
        ({"Host": "rebound.example:7860"}, 403),
        ({"Host": "127.0.0.1.example"}, 403),
        ({}, 403),
        ({"Host": "[", "Origin": "http://["}, 403),
        ({"Host": "192.168.0.7:7860", "Origin": "https://other.example"}, 403),
        ({"Host": "localhost:7860", "Origin": "null"}, 403),
        ({"Host": "localhost:7860", "Content-Length": "300000000"}, 403),
        ({"Host": "localhost:7860", "Transfer-Encoding": "chunked"}, 403),
        ({"Host": "1.2.3.4.example"}, 403),
        ({"Host": "[::1]:7860@rebound.example"}, 403),
    ],
)
def test_other_hosts_other_sites_and_large_requests_are_refused(headers, status):
    sent, passed = [], []

    async def application(scope, receive, send):
        passed.append(scope)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()]}
    with pytest.raises(StopIteration):  # it waits for nothing, so it needs no event loop, which a browser may run
        app._guarded(application, {"localhost", "my-machine"})(scope, None, send).send(None)
    assert [message.get("status") for message in sent][:1] == ([] if status is None else [status])
    assert passed == ([scope] if status is None else [])
    assert not any(b"access-control" in name for message in sent for name, _ in message.get("headers", ()))


@needs_gradio
def test_the_page_answers_its_own_address_only(explorers, free_port):
    with app.running([explorers["sampler"]], "127.0.0.1", free_port) as url:
        assert urllib.request.urlopen(url).status == 200
        for headers in ({"Host": "rebound.example"}, {"Origin": "https://other.example"}):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(urllib.request.Request(url, headers=headers))
            assert (caught.value.code, caught.value.headers["access-control-allow-origin"]) == (403, None)
