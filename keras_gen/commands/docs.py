"""The command `experiments/docs.py`: write what README.md, docs/ and the cards of models have from code and records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import keras_gen
from keras_gen import publishing, zoo
from keras_gen.commands import cli
from keras_gen.publishing import reports
from keras_gen.utils import files, trained_models
from keras_gen.utils.errors import UsageError
from keras_gen.utils.progress import print_line

ROOT = Path(keras_gen.__file__).parents[1]
REPORTS, COLLAGE = "docs/reports", "docs/samples.png"
"""Folder of the records of the reports that were made again, and README's picture, from the repository's root."""


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(
        description="Write what README.md and docs/ have from code and records: the tables of recipes and trained "
        "models, the gallery, the reports and README's picture of trained models; and the models' cards."
    )
    parser.add_argument(
        "--check", action="store_true", help="only check that they, except for the picture, are up to date"
    )
    return parser


def main() -> None:
    """Run the command: write what is outdated, or check that nothing is."""
    arguments = parser().parse_args()
    cli.load_tensorflow(devices=False)  # without its log lines
    models, outdated = publishing.published(ROOT / trained_models.FOLDER), []
    for path, updated in pages(models):
        file = ROOT / path
        if updated != (file.read_text(encoding="utf-8") if file.is_file() else None):
            outdated.append(path)
            if not arguments.check:
                files.write_text(file, updated)
    if not arguments.check and publishing.write_collage(models, ROOT / COLLAGE):
        outdated.append(COLLAGE)
    if arguments.check and outdated:
        cli.fail(f"{' and '.join(outdated)} must be regenerated: python experiments/docs.py", 1)
    print_line(f"{'up to date' if not outdated else 'written: ' + ', '.join(outdated)}")


def pages(models: Sequence[publishing.Published]) -> Iterator[tuple[str, str]]:
    """Yield the path of each page that is written here, from the repository's root, and its text."""
    tables = {"README.md": overview(), "docs/recipes.md": reference()}
    if models:
        tables |= {"docs/zoo.md": zoo_tables(models), "docs/gallery.md": ["\n\n".join(publishing.gallery(models))]}
    if folders := sorted(path.parent for path in (ROOT / REPORTS).glob(f"*/{reports.RECORD_FILE}")):
        tables["docs/reports.md"] = [reports.markdown(reports.read(each), f"reports/{each.name}") for each in folders]
    for path, lines in tables.items():
        yield path, with_table((ROOT / path).read_text(encoding="utf-8"), list(lines), path)
    for model in models:
        yield (model.path / publishing.CARD_FILE).relative_to(ROOT).as_posix(), publishing.card(model)


def with_table(text: str, lines: list[str], path: str) -> str:
    """Return a page with the lines between its two markers replaced.

    Raises:
        UsageError: the page does not have both markers.
    """
    before, begin, rest = text.partition("<!-- begin of the generated table -->\n")
    _, end, after = rest.partition("<!-- end of the generated table -->\n")
    if not (begin and end):
        raise UsageError(f"{path} must have lines that mark the beginning and the end of its table")
    return "".join((before, begin, *(f"{line}\n" for line in lines), end, after))


def overview() -> Iterator[str]:
    """Yield the lines of README's table: one row for the recipes of a function."""
    yield from ("| recipe | what it is | data |", "|---|---|---|")
    functions = dict.fromkeys(recipe.function for recipe in zoo.recipes())
    for function in functions:
        # The last decorator is the first to register.
        recipes = [recipe for recipe in zoo.recipes() if recipe.function is function]
        data = ", ".join(dict.fromkeys(recipe.dataset for recipe in recipes))
        yield f"| {', '.join(map(names, recipes))} | {recipes[0].summary.removesuffix('.')} | {data} |"


def reference() -> Iterator[str]:
    """Yield the lines of the table in docs/recipes.md: one row a recipe, with all its parameters."""
    yield "| recipe | source | data | epochs | batch | trainable weights | parameters and their defaults |"
    yield "|---|---|---|---|---|---|---|"
    for recipe in zoo.recipes():
        size = "" if recipe.image_size is None else f" at {recipe.image_size}×{recipe.image_size}"
        parameters = " ".join(
            f"`{name}={entry.default:.4g}`" if isinstance(entry.default, float) else f"`{name}={entry.default}`"
            for name, entry in recipe.parameters.items()
        )
        weights = "" if recipe.weights is None else f"{recipe.weights:,}"
        columns = (names(recipe), recipe.source, recipe.dataset + size, recipe.epochs, recipe.batch_size)
        yield f"| {' | '.join(map(str, columns))} | {weights} | {parameters} |"


def zoo_tables(models: Sequence[publishing.Published]) -> Iterator[str]:
    """Yield the lines of docs/zoo.md: models beside the literature and stock Keras, and ranked for each data set."""
    sections = {
        "Compared with the literature": publishing.comparisons(models),
        "Compared with stock Keras": publishing.stock_comparisons(models),
        "The best models of digits": publishing.best_models(models),
        "By data set": "\n\n".join(publishing.rankings(models)),
        "Reconstructions": "\n\n".join(publishing.reconstructions(models)),
    }
    yield "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items() if text)


def names(recipe: zoo.Recipe) -> str:
    """Return a recipe's name and aliases in Markdown."""
    return f"`{recipe.name}`" + "".join(f" (`{alias}`)" for alias in recipe.aliases)
