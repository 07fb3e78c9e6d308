"""Generate images from a SavedModel or a finished run.

python experiments/sample.py saved_models/vae-mlp --num 100 --seed 0 --out digits.png
"""

from __future__ import annotations

from pathlib import Path

from keras_gen import checks, command
from keras_gen.errors import must_be

SUFFIXES = (".png", ".npz")


def parser() -> command.ArgumentParser:
    """The command line."""
    parser = command.ArgumentParser(description="Generate images from a SavedModel or a finished run.")
    parser.add_argument(
        "path",
        type=Path,
        help="SavedModel folder, or run directory; a SavedModel is a program: give only ones you trust",
    )
    parser.add_argument("--num", type=int, default=100, metavar="N", help="images to generate")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same images")
    parser.add_argument(
        "--labels", type=int, nargs="+", metavar="CLASS", help="of a conditional model: classes, repeated in turn"
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
    """Parse, generate, write."""
    arguments = parser().parse_args()
    checks.count("--num", arguments.num)
    checks.seed("--seed", arguments.seed)
    out = arguments.out
    if out.suffix not in SUFFIXES:
        raise must_be("--out", f"a file name that ends in {' or '.join(SUFFIXES)}", str(out))
    if not out.absolute().parent.is_dir():
        raise must_be("--out", "in a folder that exists", str(out))
    command.load_tensorflow()

    import numpy as np

    from keras_gen import export, images, runs

    generated = export.generate(arguments.path, arguments.num, arguments.seed, arguments.labels)
    with command.writing("--out", out):
        if out.suffix == ".png":
            columns = None if arguments.labels is None or len(arguments.labels) == 1 else len(arguments.labels)
            images.save_png(out, images.grid(generated["images"].numpy(), columns=columns))
        else:
            with runs.atomic_path(out) as temporary:
                np.savez_compressed(temporary, **{name: value.numpy() for name, value in generated.items()})
    height, width, channels = generated["images"].shape[1:]
    print(f"{arguments.num} images {height}x{width}x{channels} with seed {arguments.seed}: {out}")


if __name__ == "__main__":
    command.main(main)
