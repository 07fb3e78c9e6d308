"""The structure of the package: imports point downward, and heavy libraries are imported where they are used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_gen

PACKAGE = Path(keras_gen.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"gradio", "matplotlib", "PIL", "scipy", "skimage", "sklearn", "tensorflow_datasets", "tqdm"}
"""Libraries that are imported inside functions only."""


def identify(path):
    return str(path.relative_to(PACKAGE))


def imported(node):
    """Full names of the modules that one import statement names; empty for other nodes."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import"
        return [node.module]
    return []


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def at_the_top(tree):
    """Modules imported when the module is, in order."""
    nodes = [node for node in tree.body if not for_type_checkers(node)]
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    while nodes:
        node = nodes.pop(0)
        if not isinstance(node, functions):
            yield from imported(node)
            nodes[:0] = ast.iter_child_nodes(node)


def test_imports_keep_the_contracts_in_setup_cfg():
    # In a process of its own, since it closes the streams that pytest captures.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports('setup.cfg', no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_heavy_libraries_are_imported_inside_functions(path):
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in at_the_top(parse(path)))


def test_the_heavy_libraries_are_used():
    """The test above would pass for a package that imports nothing."""
    names = {name.partition(".")[0] for path in MODULES for node in ast.walk(parse(path)) for name in imported(node)}
    assert names >= HEAVY


KERAS_READY = ("keras_gen.utils.backend", "keras_gen.models", "keras_gen.networks", "keras_gen.losses")
"""Modules whose import ensures that Keras runs on TensorFlow."""


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_keras_is_imported_after_its_backend_is_checked(path):
    names = list(at_the_top(parse(path)))
    if path.stem != "backend" and "keras" in names:
        assert any(name.startswith(KERAS_READY) for name in names[: names.index("keras")])


@pytest.mark.parametrize("path", sorted((PACKAGE.parent / "experiments").glob("*.py")), ids=lambda path: path.name)
def test_an_experiment_is_a_call_of_its_command(path):
    tree = parse(path)
    assert set(at_the_top(tree)) == {"keras_gen.commands"}
    assert [type(node) for node in tree.body] == [ast.Expr, ast.ImportFrom, ast.If]


def test_commands_import_the_package_and_the_standard_library_at_their_top():
    for path in (PACKAGE / "commands").rglob("*.py"):
        libraries = {name.partition(".")[0] for name in at_the_top(parse(path))}
        assert libraries <= {"keras_gen", *sys.stdlib_module_names}, path


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_every_module_and_public_name_has_a_docstring(path):
    tree = parse(path)
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
