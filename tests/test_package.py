"""The package as a whole: what importing it costs, what it exports, which backend it takes, what setup.cfg says."""

import configparser
import importlib
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from command_helpers import environment

import keras_gen
from keras_gen import zoo
from keras_gen.utils.text import counted

ROOT = Path(keras_gen.__file__).parents[1]
HEAVY = "tensorflow keras sklearn skimage matplotlib tensorflow_datasets scipy PIL absl".split()


def python(script, cwd, **variables):
    """Run `script` in a process of its own, in another working directory than the repository's."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=cwd,
        env=environment("KERAS_BACKEND", **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


LIGHT = (
    "import keras_gen",
    "import keras_gen.data",
    "from keras_gen.metrics import arrays, frechet, frechet_infinity, polynomial_mmd, inception",
    "from keras_gen.metrics import extractors",
    "extractors.choose('mnist', (28, 28, 1)), extractors.choose('x', (8, 8, 3)), extractors.check_choice('auto')",
    "from keras_gen.utils import checks, image_utils, net",
    "from keras_gen.runs import run_directory, settings",
    "import keras_gen.commands.cli, keras_gen.report, keras_gen.evaluation.comparison",
    "keras_gen.zoo.recipes()",
)
"""Statements that a process executes one after the other, without importing anything of `HEAVY`."""


def test_importing_the_package_and_its_light_modules_imports_nothing_heavy(tmp_path):
    script = f"""
        import json, sys
        imported = {{}}
        for statement in {LIGHT}:
            exec(statement)
            imported[statement] = [name for name in {HEAVY} if name in sys.modules]
        print(json.dumps(imported))
    """
    result = python(script, tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[0]) == dict.fromkeys(LIGHT, [])


LIGHT_COMMANDS = {
    ("sample.py", "nowhere"): (2, "path must be a SavedModel, a finished run directory or a trained model"),
    ("explore.py", "nowhere"): (2, "path must be a SavedModel, a finished run directory or a trained model"),
    ("report.py", "nowhere"): (2, "run must be a run directory"),
    # script and arguments: exit code, and a word that must be printed
    ("run.py", "--list"): (0, "vae-lstm"),
    ("run.py", "--help"): (0, "--resume"),
    ("sample.py", "--help"): (0, "--num"),
    ("convert.py", "--help"): (0, "LiteRT"),
    ("convert.py", "nowhere"): (2, "path must be a SavedModel, a finished run directory or a trained model"),
    ("evaluate.py", "--help"): (0, "run directory"),
    ("compare.py", "--help"): (0, "--ignore"),
    ("train_extractor.py", "--help"): (0, "lenet"),
    ("benchmark.py", "--help"): (0, "frechet"),
    ("sweep.py", "--help"): (0, "--grid"),
    ("report.py", "--help"): (0, "--quick"),
    ("publish.py", "--help"): (0, "--note"),
    ("publish.py", "nowhere"): (2, "run must be a run directory"),
    ("reproduce.py", "--help"): (0, "--seed"),
    ("reproduce.py", "nowhere"): (2, "path must be a SavedModel, a finished run directory or a trained model"),
    ("explore.py", "--help"): (0, "--host"),
    ("run.py",): (2, "--model"),
    ("run.py", "--modle", "vae"): (2, "run.py: error: "),
    ("run.py", "--model", "vae-mpl"): (2, "did you mean 'vae-mlp'?"),
    ("run.py", "--model", "vae-mlp", "--set", "latent_dims=3"): (2, "did you mean 'latent_dim'?"),
    ("run.py", "--model", "vae-mlp", "--set", "latent_dim=many"): (2, "latent_dim must be an integer"),
    ("run.py", "--model", "vae-mlp", "--set", "latent_dim"): (2, "--set must be name=value"),
    ("run.py", "--model", "vae-mlp", "--epochs", "0"): (2, "epochs must be"),
    ("run.py", "--model", "vae-mlp", "--strategy", "foo"): (2, "strategy must be one of auto, none, mirrored"),
    ("sample.py", "nowhere", "--out", "grid.jpg"): (2, "argument --out: must be a file name that ends in .png or .npz"),
    ("sample.py", "nowhere", "--num", "0"): (2, "--num must be"),
    ("sample.py", "nowhere", "--out", "no_folder/grid.png"): (
        2,
        "argument --out: must be a file in a folder that exists",
    ),
    ("run.py", "--model", "vae-mlp", "--fid-images", "1"): (2, "fid_images must be an integer of at least 2"),
    ("run.py", "--model", "vae-mlp", "--extractor", "letnet"): (2, "extractor must be one of auto, inception-2015"),
    ("evaluate.py", "nowhere"): (2, "run must be a run directory"),
    ("compare.py", "nowhere", "elsewhere"): (2, "run must be a run directory"),
    ("compare.py", "nowhere"): (2, "runs must be at least two run directories"),
    ("compare.py",): (2, "runs"),
    ("train_extractor.py", "letnet"): (2, "invalid choice: 'letnet'"),
    ("train_extractor.py", "lenet", "--epochs", "0"): (2, "--epochs must be"),
    ("train_extractor.py", "lenet", "--dataset", "mnits"): (2, "dataset must be one of"),
    ("program.py", "list"): (0, "vae-lstm"),
    ("program.py", "--help"): (0, "sweep"),
    ("program.py", "--version"): (0, f"keras-gen {keras_gen.__version__}"),
    ("program.py",): (2, "COMMAND"),
    ("program.py", "rnu"): (2, "invalid choice: 'rnu'"),
    ("program.py", "run", "--modle", "vae"): (2, "keras-gen run: error: "),
    ("program.py", "list", "--epochs", "2"): (2, "--epochs can't be used here: --list only lists"),
    ("program.py", "evaluate", "nowhere"): (2, "run must be a run directory"),
    ("benchmark.py", "frechet", "--repeats", "0"): (2, "--repeats must be"),
}


@pytest.fixture(scope="module")
def light_outcomes(tmp_path_factory):
    """What the commands of `LIGHT_COMMANDS` do, one after the other in one process and another working directory."""
    script = f"""
        import contextlib, importlib, io, json, sys
        from keras_gen.commands import cli
        outcomes = []
        for name, *arguments in {list(LIGHT_COMMANDS)!r}:
            sys.argv = [name, *arguments]
            out, err, code = io.StringIO(), io.StringIO(), 0
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    cli.main(importlib.import_module("keras_gen.commands." + name.removesuffix(".py")).main)
                except SystemExit as stop:
                    code = stop.code or 0
            heavy = [module for module in {HEAVY} if module in sys.modules and module != 'scipy']
            outcomes.append([code, out.getvalue(), err.getvalue(), heavy])
        print(json.dumps(outcomes))
    """
    result = python(script, tmp_path_factory.mktemp("elsewhere"))
    assert result.returncode == 0, result.stderr
    return dict(zip(LIGHT_COMMANDS, json.loads(result.stdout), strict=True))


@pytest.mark.parametrize("arguments", LIGHT_COMMANDS, ids=" ".join)
def test_what_needs_no_tensorflow_does_not_wait_for_it(arguments, light_outcomes):
    code, out, err, heavy = light_outcomes[arguments]
    expected, words = LIGHT_COMMANDS[arguments]
    assert heavy == []
    assert code == expected
    assert words in (out if expected == 0 else err)
    if expected:
        assert out == ""
        assert err.count("\n") == 1
        assert "Traceback" not in err


def test_the_list_of_recipes_names_every_recipe_alias_and_parameter(light_outcomes):
    listed = light_outcomes["run.py", "--list"][1]
    for recipe in zoo.recipes():
        assert f"\n{recipe.name}" in f"\n{listed}"
        assert recipe.summary in listed
        assert (
            f"{counted(recipe.epochs, 'epoch')}, batch size {recipe.batch_size}, {recipe.weights:,} trainable weights"
            in listed
        )
        assert all(f"(= {alias})" in listed for alias in recipe.aliases)
        assert all(f"{parameter.name}={parameter.default}" in listed for parameter in recipe.parameters.values())


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_is_refused_by_name(backend, tmp_path):
    script = """
        import sys
        import keras_gen
        keras_gen.zoo.recipes()
        for name in ("models", "losses", "export", "VAE"):
            try:
                getattr(keras_gen, name)
            except keras_gen.UsageError as error:
                print(error)
        assert "keras" not in sys.modules
    """
    result = python(script, tmp_path, KERAS_BACKEND=backend)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert line.startswith("KERAS_BACKEND must be tensorflow")
        assert line.endswith(f"received: '{backend}'")


def test_another_backend_stops_the_command_with_one_line(tmp_path):
    jax = environment("TF_CPP_MIN_LOG_LEVEL", KERAS_BACKEND="jax")
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), "--model", "vae-mlp", "--dataset", "digits"]
    result = subprocess.run(command, cwd=tmp_path, env=jax, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: KERAS_BACKEND must be tensorflow")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_backend_chosen_in_python_is_refused_too(tmp_path):
    script = """
        import sys, types
        torch = types.SimpleNamespace(backend=lambda: "torch")
        saving = types.SimpleNamespace(get_custom_objects=dict)
        sys.modules["keras"] = types.SimpleNamespace(backend=torch, saving=saving)
        import keras_gen
        try:
            keras_gen.models
        except keras_gen.UsageError as error:
            print(error)
    """
    result = python(script, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("received: 'torch'\n")


def test_an_empty_backend_variable_is_as_none(tmp_path):
    result = python(
        "import keras_gen.utils.backend, os; print(os.environ['KERAS_BACKEND'])", tmp_path, KERAS_BACKEND=""
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "tensorflow\n"


def test_the_public_names_are_the_documented_ones():
    rows = re.findall(
        r"^\| (`keras_gen\..*?) \|", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    documented = [name for row in rows for name in re.findall(r"`keras_gen\.(\w+)`", row)]
    assert sorted(documented) == sorted(dir(keras_gen)) == sorted(keras_gen.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        keras_gen.nothing  # noqa: B018


def documented_names():
    """Every name such as `keras_gen.zoo.build` in README and docs, and those that the table in docs/design.md lists."""
    pages = [*sorted(ROOT.glob("*.md")), ROOT / "saved_models" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    names = {name for text in texts for name in re.findall(r"(?<![\w/])keras_gen((?:\.[A-Za-z_]\w*)+)", text)}
    for package, contents in re.findall(r"^\| `keras_gen(\.\w+)` \| (.*) \|$", "\n".join(texts), re.MULTILINE):
        names |= {f"{package}.{name}" for name in re.findall(r"`(\w+)`", contents)}
    return sorted(names)


def test_in_a_fresh_process_every_documented_name_resolves_and_a_keras_file_loads(tmp_path):
    names = documented_names()
    assert len(names) > 60
    zoo.build("gan-mlp", (8, 8, 1), hidden=2, latent_dim=2).save(tmp_path / "model.keras")
    script = f"""
        import operator
        import keras_gen, keras
        print(type(keras.models.load_model("model.keras")).__name__)
        for name in {names!r}:
            try:
                operator.attrgetter(name[1:])(keras_gen)
            except AttributeError:
                print(name)
    """
    result = python(script, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "GAN\n"


PACKAGES = (
    "callbacks",
    "data",
    "distribution",
    "evaluation",
    "metrics",
    "metrics.extractors",
    "models",
    "networks",
    "report",
    "runs",
    "training",
    "zoo",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_that_a_package_exports_resolves(package):
    module = importlib.import_module(f"keras_gen.{package}")
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None


def test_setup_cfg_takes_the_version_of_the_package_and_makes_its_warnings_errors():
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "setup.cfg", encoding="utf-8")
    assert configuration["metadata"]["version"] == "attr: keras_gen.__version__"
    assert configuration["tool:pytest"]["filterwarnings"].strip() == "error:::keras_gen"


def test_setup_cfg_leaves_out_no_part_of_the_package():
    find_packages = pytest.importorskip("setuptools").find_packages
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / "setup.cfg", encoding="utf-8")
    include = configuration["options.packages.find"]["include"].split()
    found = find_packages(str(ROOT), include=include)
    folders = {path.parent for path in (ROOT / "keras_gen").rglob("*.py")}
    assert set(found) == {".".join(folder.relative_to(ROOT).parts) for folder in folders}


@pytest.fixture
def keras_configuration():
    """Restores Keras' configuration, which a test changes."""
    import keras

    names = ("floatx", "epsilon", "image_data_format", "max_epochs", "max_steps_per_epoch")
    before, policy = {name: getattr(keras.config, name)() for name in names}, keras.config.dtype_policy()
    yield keras.config
    for name, value in before.items():
        getattr(keras.config, f"set_{name}")(value)
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_keras_standard_configuration_is_set_and_said(keras_configuration, capsys, floatx):
    from keras_gen.utils import backend

    keras_configuration.set_floatx(floatx)
    keras_configuration.set_dtype_policy(floatx)
    keras_configuration.set_epsilon(1e-3)
    keras_configuration.set_image_data_format("channels_first")
    keras_configuration.set_max_epochs(1)
    backend._set_standard()
    assert {name: getattr(keras_configuration, name)() for name in backend.STANDARD} == backend.STANDARD
    assert (keras_configuration.max_epochs(), keras_configuration.dtype_policy().name) == (None, "float32")
    changes = f"floatx float32 instead of {floatx}, epsilon 1e-07 instead of 0.001, "
    changes += "image_data_format channels_last instead of channels_first, no max_epochs instead of 1"
    said = f"NOTE: keras_gen sets Keras' configuration (keras.json, KERAS_*) to {changes}\n"
    assert capsys.readouterr().out == said
    keras_configuration.set_dtype_policy("mixed_bfloat16")  # is the user's, and no part of keras.json
    backend._set_standard()
    assert (capsys.readouterr().out, keras_configuration.dtype_policy().name) == ("", "mixed_bfloat16")


def test_networks_are_for_channels_last_whatever_the_default_is(keras_configuration):
    from keras_gen import networks
    from keras_gen.metrics import extractors

    def shapes(name):
        network = getattr(networks, name)((16, 16, 1))
        return network.output_shape, [weight.shape for weight in network.weights]

    builders = [name for name in networks.__all__ if name[0].islower()]
    expected = list(map(shapes, builders))
    keras_configuration.set_image_data_format("channels_first")
    assert list(map(shapes, builders)) == expected
    assert extractors.build("lenet").dimensions == extractors.build("cifar").dimensions == 128
    assert keras_configuration.image_data_format() == "channels_first"


@pytest.mark.slow
def test_a_run_does_not_depend_on_keras_json(tmp_path):
    (tmp_path / "keras").mkdir()
    other = {"floatx": "float16", "epsilon": 1e-3, "backend": "jax", "image_data_format": "channels_first"}
    (tmp_path / "keras" / "keras.json").write_text(json.dumps(other))
    script = (
        "import sys; sys.argv = ['keras-gen', 'run', '--model', 'vae-conv', '--dataset', 'digits', '--epochs', '2', "
    )
    script += "'--set', 'depth=1', '--out', 'OUT']; from keras_gen.commands import program; program.main()"
    settings = {"mine": {"KERAS_HOME": str(tmp_path / "keras"), "KERAS_MAX_EPOCHS": "1"}, "standard": {}}
    results = {name: python(script.replace("OUT", name), tmp_path, **values) for name, values in settings.items()}
    histories = {}
    for name, result in results.items():
        assert result.returncode == 0, result.stderr
        assert ("NOTE: keras_gen sets Keras' configuration" in result.stdout) == (name == "mine")
        rows = (tmp_path / name / "00001-vae-conv" / "history.csv").read_text().splitlines()
        histories[name] = [row.split(",")[2:] for row in rows]  # without the epoch and its seconds
    assert len(histories["mine"]) == 3
    assert histories["mine"] == histories["standard"]
