"""Measure a trained run on its test images.

python experiments/evaluate.py runs/00003-vae-lstm
"""

from __future__ import annotations

from pathlib import Path

from keras_gen import command, runs


def parser() -> command.ArgumentParser:
    """The command line."""
    parser = command.ArgumentParser(
        description="Measure a trained run on its test images; the result is kept in the run."
    )
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument(
        "--fid-images",
        type=int,
        metavar="N",
        help="images of each kind for the FID, 0 for none; InceptionV3's weights are downloaded if missing. If not "
        "given, 1000, and only with weights already there",
    )
    parser.add_argument("--inception-weights", metavar="PATH", help="file of InceptionV3's weights")
    return parser


def main() -> None:
    """Parse, evaluate, print."""
    arguments = parser().parse_args()
    runs.read_recipe(arguments.run)
    command.load_tensorflow()
    from keras_gen import evaluation

    asked = arguments.fid_images is not None
    results = evaluation.evaluate(
        arguments.run,
        fid_images=arguments.fid_images,
        inception_weights=arguments.inception_weights,
        fid_download=asked,
    )
    for name, value in results.items():
        print(f"{name:>18}  {value:.6g}")


if __name__ == "__main__":
    command.main(main)
