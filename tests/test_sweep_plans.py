"""Plans of sweeps: names and values become the settings of members, or are refused."""

import pytest

from keras_gen import UsageError, zoo
from keras_gen.runs.settings import RunSettings
from keras_gen.training.sweeps import Plan, RunList, plan


def test_members_are_the_product_of_the_grid_with_every_seed():
    words = ["latent_dim=2,64", "epochs=20,100"]
    made = Plan.parse("vae-dense", ["batch_size=32", "beta=2"], words, seeds=3)
    found = [(s.overrides["latent_dim"], s.epochs, s.seed) for s in made.settings]
    assert found == [(latents, epochs, seed) for latents in (2, 64) for epochs in (20, 100) for seed in range(3)]
    assert {(s.batch_size, s.overrides["beta"]) for s in made.settings} == {(32, 2.0)}
    assert made.combinations[1] == {"latent_dim": 2, "epochs": 100}


def test_a_plan_without_a_grid_is_one_combination():
    assert [s.seed for s in Plan("vae", seeds=2).settings] == [0, 1]
    assert Plan("vae").settings == (RunSettings("vae-lstm"),)


def test_words_become_values_of_the_types_of_settings_and_parameters():
    words = ["learning_rate=None,1e-3", "constraint=gradient_penalty,weight_clipping", "binarize=None,threshold"]
    made = Plan.parse("wgan-conv", ["fid_every=0", "checkpoint_every=5steps"], words)
    assert made.grid == {
        "learning_rate": [None, 0.001],
        "constraint": ["gradient_penalty", "weight_clipping"],
        "binarize": [None, "threshold"],
    }
    assert made.fixed == {"fid_every": 0, "checkpoint_every": "5steps"}


def test_no_recipe_has_a_parameter_that_is_called_as_a_setting_is():
    settings = {*plan._settings_parameters(), *plan._NOT_IN_GRID}
    assert [recipe.name for recipe in zoo.recipes() if settings & recipe.parameters.keys()] == []


REFUSED = {
    "near a setting": (["epoch=3"], [], "has no setting or parameter 'epoch', did you mean 'epochs'?"),
    "near a parameter": ([], ["latentdim=2"], "has no setting or parameter 'latentdim', did you mean 'latent_dim'?"),
    "near nothing": (["qqq=3"], [], "'qqq' (known: latent_dim, hidden, "),
    "no value": (["epochs"], [], "--set must be name=value, received: 'epochs'"),
    "no values": ([], ["epochs"], "--grid must be name=value,value, received: 'epochs'"),
    "an empty value": ([], ["epochs=1,"], "epochs must be an integer or None, received: ''"),
    "type": ([], ["beta=1,big"], "beta must be a number, received: 'big'"),
    "setting's value": ([], ["epochs=5,0"], "epochs must be an integer of at least 1, received: 0"),
    "setting's choice": (["strategy=foo"], [], "strategy must be one of auto, none, mirrored"),
    "model": ([], ["model=vae,gan"], "model can't be a value of a sweep: use --model"),
    "seed": (["seed=3"], [], "seed can't be a value of a sweep: use --seeds"),
    "fixed twice": (["epochs=1", "epochs=2"], [], "epochs is given twice: --set epochs=1 and --set epochs=2"),
    "in the grid twice": ([], ["epochs=1", "epochs=2"], "epochs is given twice"),
    "fixed and in the grid": (["epochs=1"], ["epochs=2,3"], "epochs is given twice: as one value and in the grid"),
    "the same run": ([], ["beta=1,1.0"], "each member its own settings, received: {'beta': [1.0, 1.0]}"),
    "the same by default": ([], ["epochs=None,50"], "each member its own settings, received: {'epochs': [None, 50]}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_plan_that_can_not_be_carried_out_is_refused(case):
    fixed, grid, message = REFUSED[case]
    with pytest.raises(UsageError) as caught:
        Plan.parse("vae-mlp", fixed, grid)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "seeds must be an integer of at least 1"),
        ({"seeds": 10_001}, "grid must have at most 10,000 members with its seeds, received: 10,001"),
        ({"grid": {"epochs": []}}, "epochs must be a list of values in the grid"),
        ({"grid": {"binarize": "threshold"}}, "binarize must be a list of values in the grid"),
        ({"model": "vea"}, "did you mean"),
    ],
)
def test_a_plan_is_checked_from_python_too(arguments, message):
    with pytest.raises(UsageError, match=message):
        Plan(**{"model": "vae-mlp"} | arguments)


def test_a_list_has_its_runs_in_order_each_with_its_label():
    settings = [RunSettings("vae-mlp"), RunSettings("gan-mlp", seed=1)]
    made = RunList(["vae-mlp", "gan-mlp"], settings)
    assert (made.name, list(made.grid), list(made.settings)) == ("runs", ["run"], settings)
    assert made.values == [{"run": "vae-mlp"}, {"run": "gan-mlp"}]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "runs must be a list of at least one run"),
        ([RunSettings("vae"), RunSettings("vae-lstm")], "runs must differ, but this one appears twice: run 1 seed=0"),
    ],
)
def test_a_list_without_runs_or_with_equal_ones_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        RunList([f"run {index}" for index in range(len(settings))], settings)
