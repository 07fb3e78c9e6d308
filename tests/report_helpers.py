"""Run directories without a model, as training writes them, and a parser of report pages."""

import csv
import html.parser
import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from keras_gen.evaluation import Score, results
from keras_gen.evaluation.results import Evaluation
from keras_gen.report.pages import data_uri
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import files, image_utils

DRAWN = data_uri.svg
SHAPE = (8, 8, 1)
WITHOUT_END = ("meta", "img", "source")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Replace curves, which take most of the time of a page, by empty pictures; `DRAWN` is the original function."""
    monkeypatch.setattr(data_uri, "svg", lambda figure: "data:image/svg+xml;base64,PHN2Zy8+")


@dataclass
class Page(html.parser.HTMLParser):
    """A parsed page; raises if an element is not closed, or closed in the wrong place."""

    text: str
    elements: list = field(default_factory=list)
    words: list = field(default_factory=list)
    open: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self.feed(self.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in WITHOUT_END:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"] and data.strip():
            self.words.append(data.strip())

    def all(self, tag):
        """The attributes of every element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def shown(self):
        """All text."""
        return " ".join(self.words)


def picture(count=20, columns=10, value=0):
    """A grid of images of one gray each, as a run saves it."""
    shades = (np.arange(count) * 7 + value) % 256
    return image_utils.grid(np.full((count, *SHAPE), shades[:, None, None, None], np.uint8), columns=columns)


def history_of(epochs, level=0.0):
    """Rows of a VAE whose last epoch is scored."""
    rows = []
    for epoch in range(1, epochs + 1):
        row = {"epoch": epoch, "seconds": 30.0 + epoch, "updates": 5 * epoch}
        row |= {"kl": 5.0, "loss": level + 10.0 - epoch / 2, "mse": 0.25, "reconstruction": level + 5.0 - epoch / 2}
        rows.append(row | {"val_loss": level + 11.0 - epoch / 2})
    rows[-1] |= {"fd_lenet": 80.5, "fd_lenet_images": 1000}
    return rows


def write_history(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)


def make_run(path, *, epochs=8, done=None, seed=0, data="mnist", overrides=None, level=0.0, samples=True, **more):
    """Write a run directory of vae-mlp; `more` are entries of the record's data."""
    settings = RunSettings("vae-mlp", overrides or {}, epochs=epochs, seed=seed)
    description = {"name": data, "source": "npz", "counts": {"train": 55000, "validation": 5000, "test": 10000}}
    description |= {"image_shape": list(SHAPE), "fingerprint": "f00d" * 16, "notes": [], "requested": None, **more}
    path.mkdir(parents=True)
    files.write_json(
        path / "recipe.json",
        {
            "settings": settings.to_json() | {"dataset": f"/somewhere/{data}.npz"},
            "arguments": settings.arguments(),
            "data": description,
            "versions": {"keras": "3.15.1", "tensorflow": "2.21.0"},
            "machine": "Linux x86_64, 2 cores",
            "command": ["experiments/run.py", "--model", "vae-mlp"],
            "created": "2026-01-02T03:04:05+00:00",
        },
    )
    done = epochs if done is None else done
    if done:
        write_history(path / "history.csv", history_of(done, level))
    (path / "model.txt").write_text('Model: "encoder" <dense>\n', encoding="utf-8")
    for folder in ("samples", "reconstructions") if samples else ():
        (path / folder).mkdir()
        for epoch in range(1, done + 1):
            image_utils.save_png(path / folder / f"epoch-{epoch:05d}.png", picture(value=epoch))
    return path


def score(name="fd_lenet", value=82.5, generated=10_000, better="low", **options):
    protocol = {"metric": "fid", "extractor": "lenet", "reference": "mnist", "generated": generated, "seed": 0}
    return Score(name, value, protocol, better, **options)


def measure(path, *scores, epoch=8, notes=()):
    results.write(path, Evaluation({"loss": 740.25}, list(scores), list(notes)), {"epoch": epoch})


def change(path, **parts):
    """Change parts of a run's record."""
    file = path / "recipe.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | parts), encoding="utf-8")


def canvas(figure):
    """The axes of a figure of images, and its pixels."""
    (axes,) = figure.axes
    (shown,) = axes.images
    return axes, np.asarray(shown.get_array())


def image_at(picture, row, column, size):
    """The image in a row and column of a canvas, with its channels."""
    height, width = size
    top, left = 1 + row * (height + 1), 1 + column * (width + 1)
    image = picture[top : top + height, left : left + width]
    return image if image.ndim == 3 else image[..., None]


def rows_of(axes):
    """The labels of the rows."""
    return [label.get_text() for label in axes.get_yticklabels()]


def columns_of(axes):
    """The labels of the columns."""
    return [label.get_text() for label in axes.get_xticklabels()]
