"""The command `experiments/sample.py`: generate images from a SavedModel or a finished run."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli
from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

SUFFIXES = (".png", ".npz")


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Generate images from a SavedModel or a finished run.")
    parser.add_argument(
        "path",
        type=Path,
        help="SavedModel folder, run directory or name of a trained model; a SavedModel is a program: use only those you trust",
    )
    parser.add_argument("--num", type=int, default=100, metavar="N", help="number of images to generate")
    parser.add_argument("--seed", type=int, default=0, help="seed of the images: the same seed gives the same images")
    parser.add_argument(
        "--labels",
        type=int,
        nargs="+",
        metavar="CLASS",
        help="conditional models only: classes of the images, repeated in turn",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("samples.png"),
        metavar="FILE",
        help=".png for a grid, .npz for arrays (images uint8, images_float float32, labels); replaced if it exists",
    )
    return parser


def main() -> None:
    """Run the command: parse, generate, write."""
    arguments = parser().parse_args()
    checks.count("--num", arguments.num)
    checks.seed("--seed", arguments.seed)
    out = arguments.out
    if out.suffix not in SUFFIXES:
        raise must_be("--out", f"a file name that ends in {' or '.join(SUFFIXES)}", str(out))
    if not out.absolute().parent.is_dir():
        raise must_be("--out", "in a folder that exists", str(out))
    cli.load_tensorflow()

    import numpy as np

    from keras_gen.models import export
    from keras_gen.utils import files, image_utils

    generated = export.generate(arguments.path, arguments.num, arguments.seed, arguments.labels)
    with cli.writing("--out", out):
        if out.suffix == ".png":
            columns = None if arguments.labels is None or len(arguments.labels) == 1 else len(arguments.labels)
            image_utils.save_png(out, image_utils.grid(generated["images"].numpy(), columns=columns))
        else:
            with files.atomic_path(out) as temporary:
                np.savez_compressed(temporary, **{name: value.numpy() for name, value in generated.items()})
    height, width, channels = generated["images"].shape[1:]
    print(f"{arguments.num} images {height}x{width}x{channels} with seed {arguments.seed}: {out}")
