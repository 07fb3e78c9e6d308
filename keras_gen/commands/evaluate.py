"""The command `experiments/evaluate.py`: evaluate a trained run."""

from __future__ import annotations

import dataclasses

from keras_gen.commands import cli, run_options
from keras_gen.metrics import extractors
from keras_gen.runs import run_directory
from keras_gen.utils.progress import print_line


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Evaluate a trained run; the results are saved in the run directory.")
    add = parser.add_argument
    add("run", type=cli.path, help="run directory")
    run_options.add_recipes(parser)
    run_options.add_place_of_data(parser)
    add("--measures", nargs="+", metavar="NAME", help="measures of generated images, or none; default: all")
    add("--extractor", default="auto", metavar="NAME", help="auto, " + ", ".join(extractors.NAMES))
    weights = "file with the extractor's weights; for inception-2015 also the .pth of pytorch-fid or torch-fidelity"
    add("--extractor-weights", type=cli.file_name, metavar="PATH", help=weights)
    add("--extractor-precision", default="float32", metavar="NAME", help="float32, or bfloat16 (faster)")
    images = "number of generated images; default: 10000, or the number of real images for the baseline if lower"
    add("--images", dest="num_images", type=int, metavar="N", help=images)
    add("--reference", default="train", metavar="SPLIT", help="split of the real images: train or test")
    add("--seed", type=int, default=0, help="seed of generated images and all samples")
    add("--seeds", type=int, default=1, metavar="N", help="evaluate with N seeds and report the standard deviation")
    add("--likelihood-images", type=int, default=1000, metavar="N", help="test images for a VAE's likelihood; 0: none")
    add("--likelihood-samples", type=int, default=100, metavar="N", help="posterior samples per image")
    add("--likelihood-binarizations", type=int, default=1, metavar="N", help="of gray images, to average over")
    return parser


def main() -> None:
    """Run the command: parse, evaluate, print."""
    arguments = parser().parse_args()
    run_options.load_recipes(arguments)
    run_directory.read_recipe(arguments.run)
    cli.load_tensorflow()
    from keras_gen import evaluation
    from keras_gen.report.pages import model_figures

    if arguments.measures == ["none"]:
        arguments.measures = []
    names = [entry.name for entry in dataclasses.fields(evaluation.EvaluationSettings)]
    settings = evaluation.EvaluationSettings(**{name: getattr(arguments, name) for name in names})
    place = {"dataset": arguments.dataset, "data_dir": arguments.data_dir}
    show(evaluation.evaluate(arguments.run, settings, **place))
    model_figures.refresh(arguments.run, **place)


def show(result) -> None:
    """Print losses, scores with their baselines and biases, and the common protocol."""
    for name, value in result.losses.items():
        print_line(f"{name:>28}  {value:.6g}")
    if result.scores:
        print_line()
        print_line(
            f"{'':>28}  {'value':>10}  better  {'± spread':>10}  {'real images':>11}  {'bias about':>10}  protocol"
        )
    for score in result.scores:
        numbers = (score.spread, score.floor, score.bias)
        spread, floor, bias = ("" if number is None else f"{number:.3g}" for number in numbers)
        print_line(
            f"{score.name:>28}  {score.value:>10.5g}  {score.better or '':6}  {spread:>10}  {floor:>11}  {bias:>10}  "
            f"{score.fingerprint}"
        )
    for entry, values in shared(result.scores).items():
        print_line(f"{entry:>28}: {values}")
    for note in result.notes:
        print_line(f"NOTE: {note}")
    if result.scores:
        print_line("what the columns mean, and when two scores are comparable: docs/measuring.md in keras_gen's source")


def shared(scores) -> dict[str, object]:
    """Return the protocol entries shared by all scores of generated images."""
    protocols = [score.protocol for score in scores if "extractor" in score.protocol]
    if not protocols:
        return {}
    return {name: value for name, value in protocols[0].items() if all(other.get(name) == value for other in protocols)}
