"""Pages of the site that are not in docs/: README, the cards of the models, and the reference from docstrings."""

import importlib
import inspect
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]

PAGES = {"README.md": "index.md", "CHANGELOG.md": "CHANGELOG.md", "CONTRIBUTING.md": "CONTRIBUTING.md"}
"""Pages of the repository's root, and their places in the site."""

FILES = ("LICENSE", "CITATION.cff")
"""Files that pages link to."""

MODULES = (
    "models",
    "zoo",
    "data",
    "networks",
    "losses",
    "optimizers",
    "callbacks",
    "evaluation",
    "metrics",
    "training",
    "runs",
    "publishing",
    "report",
    "distribution",
)
"""Public modules of keras_gen, in the order of the reference."""

STYLE = """
img[src$='/samples.png'], img[src$='-samples.png'], img[alt^='Images of '][src$='samples.png'] {
  image-rendering: pixelated;
  min-width: min(24rem, 100%);
}
.md-grid { max-width: 80rem; }
"""


def on_config(config):
    """List the pages of the reference in the navigation."""
    pages = [{f"keras_gen.{module}": f"reference/{module}.md"} for module in MODULES]
    config.nav = [{name: pages if name == "Reference" else entry for name, entry in item.items()} for item in config.nav]
    return config


def on_files(files, config):
    """Add the pages and files that are outside of docs/."""
    for source, place in PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    notebooks = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    for name in (*FILES, *notebooks):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "site.css", content=STYLE))
    for path in sorted((ROOT / "saved_models").glob("*/*")) + [ROOT / "saved_models" / "README.md"]:
        if path.suffix in (".md", ".png"):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for module in MODULES:
        files.append(File.generated(config, f"reference/{module}.md", content=reference(module)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Change links to docs/ and saved_models/ to their places in the site, where both are below the same folder."""
    markdown = re.sub(r"\]\((\.\./)?docs/", lambda match: f"]({match[1] or ''}", markdown)
    return markdown.replace("](../saved_models/", "](saved_models/")


def reference(name):
    """Return a page of the reference: the docstring of a module and those of its public names."""
    module = importlib.import_module(f"keras_gen.{name}")
    public = getattr(module, "__all__", None) or [each for each, value in vars(module).items() if is_own(value, module)]
    lines = [f"# keras_gen.{name}", "", inspect.getdoc(module) or "", ""]
    for each in public:
        value = getattr(module, each)
        if (inspect.isclass(value) or inspect.isfunction(value)) and "<" not in value.__qualname__:  # no lambda
            lines += [f"::: {value.__module__}.{value.__qualname__}", ""]
    return "\n".join(lines)


def is_own(value, module):
    """Return whether a class or function is public and defined in a module."""
    named = inspect.isclass(value) or inspect.isfunction(value)
    return named and value.__module__ == module.__name__ and not value.__name__.startswith("_")
