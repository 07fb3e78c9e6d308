"""The command `experiments/evaluate.py`: evaluate a run, score any images, or measure published models again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras_gen.commands import cli, run_options
from keras_gen.metrics import extractors
from keras_gen.runs import run_directory
from keras_gen.utils import files, trained_models
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line


FOR_RUNS = "it is for a run directory without --generated and --real"
FOR_IMAGES = "it is for --generated and --real"
OPTIONS_FOR_IMAGES = ("real_split", "image_size", "channels", "bits", "skip_damaged")


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(
        description="Evaluate a trained run and save the results in its directory; or, with --generated and --real, "
        "score images of folders, .npz files or data sets against others; or, with --zoo, measure trained models again."
    )
    add = parser.add_argument
    add("run", type=cli.path, nargs="?", help="run directory")
    zoo = "measure the images of these published models again, by default of all, and compare with their scores"
    add("--zoo", nargs="*", metavar="NAME", help=zoo)
    images = "folder of images, .npz file, named data set, or run directory"
    add("--generated", type=cli.file_name, metavar="PLACE", help=f"images to score: {images}")
    add("--real", type=cli.file_name, metavar="PLACE", help=f"{images}; or .npz file with mu and sigma of features")
    split = "split of --real: train, validation, test or all; default: train of a data set, all of a folder or file"
    add("--real-split", metavar="SPLIT", help=split)
    add(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="crop images to squares and resize them, but not those that a run generates",
    )
    add(
        "--channels",
        type=int,
        metavar="N",
        help="convert images to gray (1) or color (3), but not those that a run generates",
    )
    add("--bits", type=int, metavar="N", help="bits of values stored as 16 bits in these images, 8 to 16")
    add("--skip-damaged", action="store_true", help="leave out files of these folders that can't be read")
    add("--json", type=cli.new_file, metavar="FILE", help="file for the scores of these images with their protocol")
    run_options.add_recipes(parser)
    run_options.add_place_of_data(parser)
    add("--measures", nargs="+", metavar="NAME", help="measures of images, rec_fid, or none; default: all")
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
    own_parser = parser()
    arguments = own_parser.parse_args()
    run_options.load_recipes(arguments)
    if arguments.zoo is not None:
        others = vars(arguments).keys() - {"zoo", "data_dir", "recipes"}
        own_parser.refuse(arguments, dict.fromkeys(others, "--zoo measures as the published scores were"))
        measure_zoo(arguments.zoo, arguments.data_dir)
        return
    scores_images = arguments.generated is not None or arguments.real is not None
    if scores_images:
        _check_places(own_parser, arguments)
    elif arguments.run is None:
        raise must_be("run", "a run directory, or --generated and --real must name images", None)
    else:
        own_parser.refuse(arguments, dict.fromkeys((*OPTIONS_FOR_IMAGES, "json"), FOR_IMAGES))
        run_directory.read_recipe(arguments.run)
    cli.load_tensorflow()
    from keras_gen import evaluation
    from keras_gen.report.pages import model_figures

    if arguments.measures == ["none"]:
        arguments.measures = []
    names = [entry.name for entry in dataclasses.fields(evaluation.EvaluationSettings)]
    settings = evaluation.EvaluationSettings(**{name: getattr(arguments, name) for name in names})
    if scores_images:
        options = {name: getattr(arguments, name) for name in ("data_dir", *OPTIONS_FOR_IMAGES)}
        result = evaluation.compare_files(arguments.generated, arguments.real, settings, **options)
        show(result)
        if arguments.json is not None:
            places = {name: getattr(arguments, name) for name in ("generated", "real")}
            files.write_json(arguments.json, places | result.to_json())
        return
    place = {"dataset": arguments.dataset, "data_dir": arguments.data_dir}
    show(evaluation.evaluate(arguments.run, settings, **place))
    model_figures.refresh(arguments.run, **place)


def measure_zoo(names: Sequence[str], data_dir: str | None) -> None:
    """Measure published models again, print their scores then and now, and fail if some differ or can't be measured."""
    paths = [trained_models.find_saved_model(name) for name in names]
    cli.load_tensorflow()
    from keras_gen import publishing

    models = [publishing.read(path) for path in paths] or publishing.published()
    measured, failed = [model for model in models if model.record.exported_scores or names], []
    if not measured:
        raise UsageError("--zoo finds no published model with scores of generated images")
    for model in measured:
        print_line(f"{model.record.name}:")
        try:
            rows = publishing.measure(model, data_dir)
        except UsageError as error:  # of one model, such as unavailable data
            failed.append(f"{model.record.name}: {error}")
            continue
        for row in rows:
            verdict = "" if row.is_within else f"  differs by more than {row.margin:.2g}"
            print_line(f"{row.name:>28}  published {row.published:>10.5g}  now {row.obtained:>10.5g}{verdict}")
            failed += [] if row.is_within else [f"{model.record.name}: {row.name} differs"]
    if failed:
        cli.fail(f"{len(failed)} scores or models are not as published:", 1, *failed)


def _check_places(own_parser, arguments) -> None:
    """Check the command line for scoring images, before anything is loaded."""
    if arguments.run is not None:
        raise must_be("run", "left out with --generated and --real", str(arguments.run))
    for name in ("generated", "real"):
        if getattr(arguments, name) is None:
            raise must_be(f"--{name}", "given with the other of --generated and --real", None)
    if arguments.measures == ["none"]:
        raise must_be("--measures", "names of measures for --generated and --real", "none")
    names = ("dataset", "reference", "likelihood_images", "likelihood_samples", "likelihood_binarizations")
    own_parser.refuse(arguments, dict.fromkeys(names, FOR_RUNS))


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
    protocols = [score.protocol for score in scores if {"extractor", "seed"} <= score.protocol.keys()]
    if not protocols:
        return {}
    return {name: value for name, value in protocols[0].items() if all(other.get(name) == value for other in protocols)}
