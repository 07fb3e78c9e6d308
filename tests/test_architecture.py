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


LIGHT = ("zoo", "data", "metrics", "utils", "commands", "evaluation", "report", "training/sweeps", "runs")
WITH_TENSORFLOW = {
    *("evaluation/encoder_scores.py", "evaluation/evaluator.py", "evaluation/keras_metrics.py"),
    *("metrics/extractors/inception_2015_network.py", "report/explorer/model.py", "utils/tf_data.py"),
    *("report/pages/model_figures.py", "runs/checkpoints.py", "runs/loading.py", "runs/model_config.py"),
    *("runs/provenance.py", "utils/backend.py", "utils/keras_internals.py"),
}
"""Modules of the light packages that need Keras or TensorFlow."""


def test_commands_that_answer_at_once_import_no_tensorflow():
    heavy = set()
    for path in MODULES:
        if identify(path).startswith(LIGHT) and {"keras", "tensorflow"} & {
            name.partition(".")[0] for name in at_the_top(parse(path))
        }:
            heavy.add(identify(path))
    assert heavy <= WITH_TENSORFLOW


def test_the_heavy_libraries_are_used():
    """The test above would pass for a package that imports nothing."""
    names = {name.partition(".")[0] for path in MODULES for node in ast.walk(parse(path)) for name in imported(node)}
    assert names >= HEAVY


KERAS_READY = ("keras_gen.utils.backend", "keras_gen.models", "keras_gen.networks", "keras_gen.losses")
"""Modules whose import ensures that Keras runs on TensorFlow."""


def keras_imports(node, ready=False):
    """For every import of Keras, in functions too, whether its backend was checked before."""
    for child in ast.iter_child_nodes(node):
        if for_type_checkers(child):
            continue
        names = imported(child)
        if isinstance(child, ast.ImportFrom):
            names += [f"{child.module}.{alias.name}" for alias in child.names]
        ready = ready or any(name.startswith(KERAS_READY) for name in names)
        if any(name.partition(".")[0] == "keras" for name in names):
            yield ready
        yield from keras_imports(child, ready)  # what a block has checked holds for its contents


def test_keras_is_imported_after_its_backend_is_checked():
    # Commands call `cli.load_tensorflow` first, which checks it.
    paths = [path for path in MODULES if path.stem != "backend" and not identify(path).startswith("commands/")]
    found = {identify(path): list(keras_imports(parse(path))) for path in paths}
    assert sum(map(len, found.values())) > 10
    assert [path for path, ready in found.items() if not all(ready)] == []


def test_the_package_imports_no_experiment_and_no_test():
    names = {name.partition(".")[0] for path in MODULES for node in ast.walk(parse(path)) for name in imported(node)}
    assert names.isdisjoint({"experiments", "tests", "run", "sample"})


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
