"""The command `experiments/docs.py`: write the tables of README.md and docs/ that list the recipes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras_gen
from keras_gen import zoo
from keras_gen.commands import cli
from keras_gen.utils import files
from keras_gen.utils.errors import UsageError
from keras_gen.utils.progress import print_line

ROOT = Path(keras_gen.__file__).parents[1]


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Write the tables of README.md and docs/recipes.md that list the recipes.")
    parser.add_argument("--check", action="store_true", help="only check that the tables are up to date")
    return parser


def main() -> None:
    """Run the command: write the tables, or check them."""
    arguments = parser().parse_args()
    outdated = []
    for path, table in (("README.md", overview), ("docs/recipes.md", reference)):
        text = (ROOT / path).read_text(encoding="utf-8")
        updated = with_table(text, list(table()), path)
        if updated != text and not arguments.check:
            files.write_text(ROOT / path, updated)
        outdated += [path] * (updated != text)
    if arguments.check and outdated:
        cli.fail(f"{' and '.join(outdated)} must be written again: python experiments/docs.py", 1)
    print_line(f"{'up to date' if not outdated else 'written: ' + ', '.join(outdated)}")


def with_table(text: str, lines: list[str], path: str) -> str:
    """Return a page with the lines between its two markers replaced.

    Raises:
        UsageError: the page does not have both markers.
    """
    before, begin, rest = text.partition("<!-- begin of the generated table -->\n")
    _, end, after = rest.partition("<!-- end of the generated table -->\n")
    if not (begin and end):
        raise UsageError(f"{path} must have a line that marks the begin and one that marks the end of its table")
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


def names(recipe: zoo.Recipe) -> str:
    """Return a recipe's name and aliases in Markdown."""
    return f"`{recipe.name}`" + "".join(f" (`{alias}`)" for alias in recipe.aliases)
