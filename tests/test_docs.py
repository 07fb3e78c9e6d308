"""README and docs name files, recipes and commands that exist."""

import re
import shlex
from pathlib import Path

import pytest
from command_helpers import SCRIPTS, call

from keras_gen.commands import docs, run_options

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "saved_models" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"python experiments/(\w+)\.py([^`#&|]*)")


def commands():
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for name, arguments in COMMAND.findall(text):
            yield pytest.param(
                name, arguments.split("\n")[0].strip(), id=f"{page.name}: {name} {arguments.strip()[:40]}"
            )


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
        run_options.settings_of(parsed)


def test_the_tables_list_every_recipe_with_its_present_defaults(tmp_path, monkeypatch):
    outcome = call("docs", "--check")
    assert (outcome.out, outcome.err) == ("up to date\n", "")
    for page in ("README.md", "docs/recipes.md"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text((ROOT / page).read_text(encoding="utf-8").replace("| `gan-mlp`", "| `gan`"))
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    outcome = call("docs", "--check")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "README.md and docs/recipes.md must be regenerated: python experiments/docs.py\n"
    assert call("docs").out == "written: README.md, docs/recipes.md\n"
    assert (tmp_path / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
