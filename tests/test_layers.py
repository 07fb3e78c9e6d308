"""The floors of the house, from the syntax tree: imports point downward, heavy libraries stay where they are used."""

import ast
import graphlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import keras_gen

PACKAGE = Path(keras_gen.__file__).parent
EXPERIMENTS = PACKAGE.parent / "experiments"

# Rooms from the top floor down. A room imports only from rooms below it; a package's modules also import each other.
ROOMS = (
    "command",  # what the scripts in experiments/ share
    "sweeping",
    "reporting",
    "exploring",
    "evaluation",
    "training",
    "opening",
    "monitoring",
    "report",
    "settings",
    "callbacks",
    "comparison",
    "scoring",
    "export",
    "checkpoints",
    "configuration",
    "environment",
    "zoo",
    "models",
    "networks",
    "optimizers",
    "extractors",
    "metrics",
    "data",
    "losses",
    "distribution",
    "shares",
    "iterators",
    "cluster",
    "images",
    "histories",
    "runs",
    "locking",
    "interruptions",
    "intervals",
    "probing",
    "archives",
    "untrusted",
    "checks",
    "progress",
    "lazy",
    "backend",
    "errors",
)
PACKAGES = (
    "sweeping",
    "exploring",
    "report",
    "callbacks",
    "scoring",
    "zoo",
    "models",
    "networks",
    "extractors",
    "metrics",
    "data",
)
ONLY_IN_FUNCTIONS = ("matplotlib", "tensorflow_datasets", "sklearn", "skimage", "PIL", "scipy", "gradio", "tqdm")
"""Libraries that a process pays for where it uses them."""


WITH_BACKEND = ("keras_gen.backend", "keras_gen.models", "keras_gen.networks", "keras_gen.losses")
"""Modules after whose import Keras has come up on TensorFlow."""


@dataclass(frozen=True)
class Import:
    """One imported module, where, and whether inside a function or for type checkers only."""

    file: Path
    line: int
    target: str
    in_function: bool
    type_checking: bool

    def __str__(self):
        return f"{self.file.name}:{self.line} imports {self.target}"


def modules():
    return {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


MODULES = modules()


def imports_of(path):
    """Every import in a file; `from keras_gen.data import catalog` counts as keras_gen.data.catalog."""
    found = []

    def visit(node, in_function, type_checking):
        if isinstance(node, ast.Import):
            found.extend(Import(path, node.lineno, a.name, in_function, type_checking) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                known = submodule in MODULES or f"{submodule}.__init__" in MODULES
                target = submodule if known else node.module
                found.append(Import(path, node.lineno, target, in_function, type_checking))
        in_function = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            type_checking = True
        for child in ast.iter_child_nodes(node):
            visit(child, in_function, type_checking)

    visit(ast.parse(path.read_text(encoding="utf-8")), in_function=False, type_checking=False)
    return found


IMPORTS = {name: imports_of(path) for name, path in MODULES.items()}
ALL_IMPORTS = [entry for entries in IMPORTS.values() for entry in entries]


def room(module):
    """`data` of keras_gen.data.catalog; None of keras_gen itself and of other libraries."""
    parts = module.split(".")
    return parts[1] if parts[0] == "keras_gen" and len(parts) > 1 and parts[1] != "__init__" else None


def library(target):
    return target.partition(".")[0]


def test_every_module_has_its_place_in_the_table():
    present = {room(name) for name in MODULES} - {None}
    assert present == set(ROOMS)
    assert {name for name in present if (PACKAGE / name).is_dir()} == set(PACKAGES)


def test_imports_point_downward_only():
    upward = []
    for name, entries in IMPORTS.items():
        source = room(name)
        for entry in entries:
            target = room(entry.target)
            if source is None or target is None or (source == target and source in PACKAGES):
                continue
            if ROOMS.index(target) <= ROOMS.index(source):
                upward.append(f"{source}: {entry}")
    assert upward == []


def test_a_room_takes_nothing_from_the_package_itself_but_its_version():
    for name, entries in IMPORTS.items():
        users = [str(entry) for entry in entries if entry.target == "keras_gen"]
        assert users == [] or name == "keras_gen.environment", users
    used = {
        node.attr
        for node in ast.walk(ast.parse(MODULES["keras_gen.environment"].read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "keras_gen"
    }
    assert used == {"__version__"}


def test_no_module_imports_itself_round_a_corner():
    graph = {}
    for name, entries in IMPORTS.items():
        if not name.endswith("__init__"):
            targets = {entry.target for entry in entries if entry.target in MODULES and not entry.type_checking}
            graph[name] = targets
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == {name for name in MODULES if not name.endswith("__init__")}


def test_models_know_neither_zoo_nor_data():
    entries = [entry for name, entries in IMPORTS.items() if room(name) == "models" for entry in entries]
    assert entries
    assert [str(entry) for entry in entries if room(entry.target) in ("zoo", "data")] == []


def test_metric_formulas_import_no_tensorflow():
    def below(module, seen):
        for entry in IMPORTS.get(module, ()):
            if entry.target not in seen:
                seen.add(entry.target)
                below(entry.target, seen)
        return seen

    formulas = {name for name in MODULES if room(name) == "metrics"}
    assert {"keras_gen.metrics.fid", "keras_gen.metrics.kid"} <= formulas
    reached = set().union(*(below(name, set()) for name in formulas))
    assert "keras_gen.errors" in reached
    assert {library(target) for target in reached} & {"tensorflow", "keras"} == set()
    assert "keras_gen.metrics.__init__" in IMPORTS
    assert {library(entry.target) for entry in IMPORTS["keras_gen.metrics.__init__"]} <= {"keras_gen", "__future__"}


@pytest.mark.parametrize("name", ONLY_IN_FUNCTIONS)
def test_a_heavy_library_is_imported_where_it_is_used(name):
    entries = [entry for entry in ALL_IMPORTS if library(entry.target) == name and not entry.type_checking]
    assert [str(entry) for entry in entries if not entry.in_function] == []


def test_what_is_imported_inside_functions_is_looked_for_in_the_right_places():
    """The check above would pass on a package that imports nothing: these are imported somewhere."""
    used = {library(entry.target) for entry in ALL_IMPORTS}
    assert {"matplotlib", "tensorflow_datasets", "sklearn", "skimage", "PIL", "gradio", "tqdm"} <= used


def test_what_has_to_be_quick_imports_keras_and_tensorflow_inside_functions_only():
    quick = (
        "zoo",
        "settings",
        "data",
        "metrics",
        "extractors",
        "scoring",
        "comparison",
        "sweeping",
        "runs",
        "images",
        "command",
        "report",
        "probing",
        "checks",
        "progress",
        "errors",
    )
    for name, entries in IMPORTS.items():
        if room(name) in (*quick, "backend"):
            heavy = [e for e in entries if library(e.target) in ("keras", "tensorflow") and not e.type_checking]
            assert [str(entry) for entry in heavy if not entry.in_function] == []


def test_the_page_imports_nothing_with_keras_at_its_top():
    """So that `explore.py --help` and a missing Gradio answer at once."""
    for name in ("keras_gen.exploring.__init__", "keras_gen.exploring.page", "keras_gen.exploring.tabs"):
        outside = [entry for entry in IMPORTS[name] if not entry.in_function and not entry.type_checking]
        heavy = {"models", "networks", "losses", "distribution", "backend", "export", "checkpoints", "callbacks"}
        assert [str(entry) for entry in outside if room(entry.target) in heavy] == []
        assert [str(entry) for entry in outside if entry.target == "keras_gen.exploring.explorer"] == []


def test_recipe_modules_import_no_room_with_keras_at_their_top():
    with_keras = {"models", "networks", "losses", "distribution", "backend", "export", "checkpoints", "callbacks"}
    for name, entries in IMPORTS.items():
        if room(name) in ("zoo", "settings"):
            outside = [entry for entry in entries if not entry.in_function and not entry.type_checking]
            assert [str(entry) for entry in outside if room(entry.target) in with_keras] == []


def test_keras_is_imported_after_the_backend_is_made_sure_of():
    late, checked = [], []

    def visit(node, ready, where):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            names = [alias.name for alias in child.names] if isinstance(child, ast.Import) else []
            names += [child.module] if isinstance(child, ast.ImportFrom) else []
            ready = ready or any(name.startswith(WITH_BACKEND) for name in names)
            if "keras" in map(library, names):
                checked.append(child.lineno)
                late.extend([f"{where}:{child.lineno}"] * (not ready))
            visit(child, ready, where)  # what a block made sure of holds in what it contains

    for name, path in MODULES.items():
        if name != "keras_gen.backend":
            visit(ast.parse(path.read_text(encoding="utf-8")), False, name)
    assert late == []
    assert len(checked) > 10


def test_experiments_import_only_the_package_and_the_standard_library_at_their_top():
    scripts = sorted(EXPERIMENTS.glob("*.py"))
    assert {"run.py", "sample.py", "evaluate.py"} <= {path.name for path in scripts}
    for path in scripts:
        outside = [entry for entry in imports_of(path) if not entry.in_function]
        allowed = {"keras_gen", *sys.stdlib_module_names}
        assert [str(entry) for entry in outside if library(entry.target) not in allowed] == []
        with_keras = {"models", "networks", "training", "evaluation", "export", "callbacks", "losses", "distribution"}
        assert [str(entry) for entry in outside if room(entry.target) in with_keras] == []


def test_the_package_knows_no_experiment_and_no_test():
    assert {library(entry.target) for entry in ALL_IMPORTS} & {"experiments", "tests", "run", "sample"} == set()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_longer_than_a_person_reads_at_once(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_and_public_name_says_what_it_is(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name}.{node.name}"
