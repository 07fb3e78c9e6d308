"""Arbitrary settings and command lines are accepted or refused in one line, before TensorFlow is loaded."""

import numpy as np
import pytest
from command_helpers import SCRIPTS, call
from fuzz_helpers import AMOUNTS, JSON, SCALARS, done_or_refused, fuzz, spoiled
from hypothesis import assume
from hypothesis import strategies as st

from keras_gen import data, zoo
from keras_gen.commands import cli
from keras_gen.runs.intervals import Interval
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import checks, net
from keras_gen.utils.errors import UsageError

RECIPES = {recipe.name: recipe for recipe in zoo.recipes()}
NAMES = st.sampled_from(sorted({name for recipe in RECIPES.values() for name in recipe.parameters}))
WORDS = st.text(max_size=12) | st.sampled_from(
    ["", "None", "nan", "inf", "-0", "1_0", "٣", "1e999", "true", "9" * 5000, "0x10", " 1 ", "=", "-1", "\ud800"]
)


@AMOUNTS
def test_overrides_of_a_command_line(times):
    def check(recipe, assignments):
        with done_or_refused():
            overrides = RECIPES[recipe].parse_overrides(assignments)
            assert RECIPES[recipe].check_overrides(overrides) == overrides

    assignment = st.builds("{}={}".format, NAMES | st.text(max_size=5), WORDS) | st.text(max_size=8)
    fuzz(check, st.sampled_from(sorted(RECIPES)), st.lists(assignment, max_size=3), examples=150 * times)


@AMOUNTS
def test_overrides_of_a_script(times):
    def check(recipe, overrides):
        with done_or_refused():
            checked = RECIPES[recipe].check_overrides(overrides)
            assert {type(value) for value in checked.values()} <= {int, float, bool, str, type(None)}

    overrides = st.dictionaries(NAMES, JSON | st.integers(-(10**6), 10**6) | st.just(10**5000), max_size=3)
    fuzz(check, st.sampled_from(sorted(RECIPES)), overrides, examples=150 * times)


@AMOUNTS
def test_settings_in_a_recipe_file(times):
    good = RunSettings("vae-mlp", overrides={"latent_dim": 3, "hidden": 8}, dataset="digits").to_json()

    def check(content):
        with done_or_refused():
            settings = RunSettings.from_json(content, "recipe.json")
            assert RunSettings.from_json(settings.to_json(), "recipe.json") == settings

    fuzz(check, JSON | spoiled(good), examples=250 * times)


@AMOUNTS
def test_intervals(times):
    def check(value):
        with done_or_refused():
            interval = Interval.parse("checkpoint_every", value)
            assert Interval.parse("checkpoint_every", interval.to_json()) == interval

    written = st.builds("{}{}{}".format, st.integers(-1, 10**9) | WORDS, st.sampled_from(["", " "]), WORDS)
    units = st.builds("{}{}".format, st.integers(0, 10**9), st.sampled_from(["steps", "step", "epoch", "minutes", "s"]))
    values = written | units | JSON | st.just(10**5000) | st.binary(max_size=5)
    fuzz(check, values, examples=200 * times, known=[(10**5000,), (-(10**5000),)])


@AMOUNTS
def test_names_of_data(times, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(net, "connection_error", lambda *_: "there is no network in these tests")

    def check(name, data_dir):
        assume(name not in ("/", "..", "~", "//"))  # folders that would be searched for hours
        with done_or_refused():
            data.load(name, data_dir=data_dir)

    paths = st.builds("{}{}".format, st.text(max_size=5), st.sampled_from([".npz", "/"]))
    names = st.text(max_size=10) | SCALARS | paths
    known = [
        (None, "~\0"),
        ("~\0/", None),
        ("~nobody-here/x", None),
        ("~nobody-here/x.npz", None),
        ("x", "~nobody-here"),
        ("x" * 5000 + "/", None),
    ]
    fuzz(check, names, st.none() | names, examples=80 * times, known=known)


class CommandLineAccepted(Exception):
    """The command would load TensorFlow."""


def options_of(name):
    actions = SCRIPTS[name].parser()._actions
    return [option for action in actions for option in action.option_strings]


JUNK = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10)
PLAUSIBLE = ["vae-mlp", "gan", "digits", "auto", "1", "0", "-1", "10", "latent_dim=3", "lenet", "a.png", "500steps"]
STEERING = ["\x1b[2J", "two\nlines", "\u202e", "a\rb"]


@AMOUNTS
@pytest.mark.parametrize("name", ["run", "sample", "evaluate", "compare", "report", "explore", "sweep"])
def test_command_lines(name, times, monkeypatch, tmp_path):
    """Each ends in status 2 with one printable line, or is accepted."""

    def accept():
        raise CommandLineAccepted

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "load_tensorflow", accept)
    always = ["--dry-run"] if name == "sweep" else []

    def check(arguments):
        try:
            outcome = call(name, *always, *arguments)
        except CommandLineAccepted:
            return
        if outcome.code == 0:  # help, a list or a dry run
            assert outcome.out and not outcome.err
        else:
            assert outcome.error.isprintable()
        assert list(tmp_path.iterdir()) == []

    options = st.sampled_from(options_of(name))
    word = st.one_of(options, st.sampled_from(PLAUSIBLE), JUNK, st.sampled_from(STEERING))
    known = [(["--model", "vae-mlp", *STEERING],), ([*STEERING],), (["--model", "two\nlines"],)]
    fuzz(check, st.lists(word, max_size=8), examples=30 * times, known=known)


def test_a_number_too_long_to_print_has_a_message():
    with pytest.raises(UsageError, match="^checkpoint_every must be .*received: <int too long to print>$"):
        Interval.parse("checkpoint_every", 10**5000)


def test_an_array_has_a_message_of_one_line():
    with pytest.raises(UsageError, match=r"^seed must be .*received: array\(\[\[0\], \[0\]\]\)$"):
        checks.seed("seed", np.zeros((2, 1), int))


def test_scalars_have_all_types():
    """The strategies of the tests above draw more than plain words."""
    drawn = set()
    fuzz(lambda value: drawn.add(type(value)), SCALARS, examples=200)
    assert drawn == {type(None), bool, int, float, str}
