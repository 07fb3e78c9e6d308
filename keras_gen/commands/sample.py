"""The command `experiments/sample.py`: generate images from a SavedModel or a finished run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from keras_gen.commands import cli
from keras_gen.utils import checks, files, trained_models
from keras_gen.utils.errors import UsageError, must_be, suggestion
from keras_gen.utils.progress import print_line


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Generate images from a SavedModel or a finished run.")
    add = parser.add_argument
    add("path", type=cli.path, help=cli.MODEL_HELP)
    add("--num", type=int, default=100, metavar="N", help="number of images to generate")
    add("--seed", type=int, default=0, help="seed of the images: the same seed gives the same images")
    truncation = "draw latents from a normal distribution truncated to ±LIMIT, such as 0.7: better, more similar images"
    add("--truncation", type=float, metavar="LIMIT", help=truncation)
    labels = "conditional models only: classes of the images, by number or name; the list is repeated"
    add("--labels", nargs="+", metavar="CLASS", help=labels)
    out = ".png for a grid, .npz for arrays (images uint8, images_float float32, labels); replaced if it exists"
    add("--out", type=cli.new_file(".png", ".npz"), default=Path("samples.png"), metavar="FILE", help=out)
    add("--separate", type=cli.path, metavar="DIR", help="also write each image as a separate PNG to this new folder")
    return parser


def main() -> None:
    """Run the command: parse, generate, write."""
    arguments = parser().parse_args()
    checks.count("--num", arguments.num)
    checks.seed("--seed", arguments.seed)
    if arguments.truncation is not None:
        checks.positive("--truncation", arguments.truncation)
    out = arguments.out
    if arguments.separate is not None:
        if arguments.separate.exists():
            raise must_be("--separate", "a new folder", str(arguments.separate))
        files.check_can_write_directory(arguments.separate, overwrite=False, argument="--separate")
    trained_models.find_saved_model(arguments.path)  # reject a wrong path before importing TensorFlow
    cli.load_tensorflow()

    import numpy as np

    from keras_gen.models import export
    from keras_gen.utils import image_utils

    labels = None
    if arguments.labels is not None:
        if len(arguments.labels) > arguments.num:
            raise must_be("--labels", f"at most {arguments.num} classes, as --num", len(arguments.labels))
        description = export.description(arguments.path)
        labels = classes(arguments.labels, trained_models.class_names(description))
        if not (num_classes := description.get("num_classes", 0)):
            raise must_be("--labels", "left out, since the model is not conditional", " ".join(arguments.labels))
        if wrong := [label for label in labels if not 0 <= label < num_classes]:
            raise must_be("--labels", f"classes from 0 to {num_classes - 1}", wrong[0])
    generated = export.generate(arguments.path, arguments.num, arguments.seed, labels, arguments.truncation)
    arrays = {name: value.numpy() for name, value in generated.items()}
    if out.suffix == ".png":
        columns = None if labels is None or len(labels) == 1 else len(labels)
        image_utils.save_png(out, image_utils.grid(arrays["images"], columns=columns))
    else:
        with files.atomic_path(out) as temporary:
            np.savez_compressed(temporary, **arrays)
    if arguments.separate is not None:
        digits = len(str(arguments.num - 1))

        def write(folder: Path) -> None:
            for index, image in enumerate(arrays["images"]):
                image_utils.save_png(folder / f"{index:0{digits}}.png", image_utils.grid(image[np.newaxis], padding=0))

        files.write_directory(arguments.separate, write, overwrite=False, argument="--separate")
    height, width, channels = arrays["images"].shape[1:]
    print_line(f"{arguments.num} images {height}x{width}x{channels} with seed {arguments.seed}: {out}")


def classes(words: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the classes that words of a command line name, by the names of the classes from 0 on, or by number.

    A name comes before a number: classes may be called `3` and `7`.
    """
    found = []
    for word in words:
        if word not in names and not re.fullmatch(r"-?\d{1,9}", word):
            known = f"a class: a number, or one of {', '.join(names)}" if names else "the number of a class"
            raise UsageError(f"{must_be('--labels', known, word)}{suggestion(word, names)}")
        found.append(names.index(word) if word in names else int(word))
    return found
