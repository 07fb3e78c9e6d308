"""README and docs name files, recipes and commands that exist."""

import re
import shlex
from pathlib import Path

import pytest
from command_helpers import SCRIPTS

from keras_gen import zoo

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "saved_models" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"python experiments/(\w+)\.py([^`#&|]*)")


def commands():
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for name, arguments in COMMAND.findall(text):
            yield pytest.param(
                name, arguments.split("\n")[0].strip(), id=f"{page.name}: {name} {arguments.strip()[:40]}"
            )


def recipes_in_table(page):
    rows = re.findall(r"^\| (`.+?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("name", "arguments"), list(commands()))
def test_every_command_is_understood(name, arguments):
    module = SCRIPTS[name]
    parsed = module.parser().parse_args(shlex.split(arguments))
    if name == "run" and parsed.model:
        module.check_combination(module.parser(), parsed)
        module.settings_of(parsed)


def test_the_tables_name_every_recipe():
    names = {recipe.name for recipe in zoo.recipes()}
    aliases = {alias for recipe in zoo.recipes() for alias in recipe.aliases}
    assert recipes_in_table(ROOT / "README.md") == names | aliases
    headings = re.findall(r"^### (.+) \(R", (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for heading in headings for name in heading.split(", ")} == names
