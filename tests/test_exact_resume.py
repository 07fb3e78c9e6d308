"""A run that is stopped in the middle of an epoch and resumed equals an uninterrupted run, bit for bit."""

import os
import shutil
import signal

import numpy as np
import pytest
import run_helpers
from command_helpers import call, names, only_run, train, write_npz
from run_helpers import assert_same_run, save_checkpoint

from keras_gen import UsageError, training
from keras_gen.callbacks import StopOnDivergence
from keras_gen.runs import history
from keras_gen.runs import checkpoints, loading, provenance, run_directory
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.settings import RunSettings
from keras_gen.training import trainer
from keras_gen.utils import files
from keras_gen.utils.errors import TrainingDiverged

only_training = run_helpers.only_training
pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network", "only_training")

FAMILIES = {
    "vae-mlp": {"hidden": 8, "latent_dim": 2},
    "vae-conv": {"width": 4, "latent_dim": 3, "depth": 2},  # batch normalization
    "vae-lstm": {"units": 4, "latent_dim": 3},  # dropout
    "dae-conv": {},  # noise on the images
    "gan-conv": {"latent_dim": 3, "moving_average": 0.9, "dropout": 0.4},  # two optimizers, dropout
    "wgan-conv": {"latent_dim": 3, "critic_steps": 2, "constraint": "weight_clipping"},
    "wgan-gp": {"latent_dim": 3, "critic_steps": 2, "width": 4},
    # batch normalization, penalty, moving average: stands for the adversarial models.
    "wgan-deep": {"latent_dim": 3, "critic_steps": 2, "width": 2, "depth": 1, "moving_average": 0.9},
}
STEPS = 4
"""Train steps per epoch."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(scope="module")
def settings_of(tiny_data):
    def settings(name, **more):
        overrides = FAMILIES[name]
        options = {"dataset": str(tiny_data), "image_size": 12, "sample_count": 4, "fid_every": 0, "epochs": 2}
        options["steps_per_execution"] = 1
        options["batch_size"] = 40 // STEPS // overrides.get("critic_steps", 1)
        return RunSettings(name, overrides, **options | more)

    return settings


@pytest.fixture
def signal_after(monkeypatch):
    """Return a function that makes the process send itself a signal after a number of train steps from now."""

    def arm(steps, number=signal.SIGTERM):
        real, left = StopOnDivergence.on_train_batch_end, [steps]

        def count(self, batch, logs=None):
            real(self, batch, logs)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(StopOnDivergence, "on_train_batch_end", count)

    return arm


@pytest.fixture(scope="module")
def uninterrupted(settings_of, only_training, tmp_path_factory):
    """Return a function that trains each recipe's uninterrupted run once."""
    made = {}

    def run(name):
        if name not in made:
            made[name] = training.run(settings_of(name), out=tmp_path_factory.mktemp("whole"))
        return made[name]

    return run


@pytest.mark.parametrize(
    "name",
    [name if name in ("vae-mlp", "wgan-deep") else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES],
)
def test_a_run_stopped_in_an_epoch_ends_in_the_same_bits(
    name, settings_of, uninterrupted, signal_after, tmp_path, capfd
):
    handlers = [signal.getsignal(number) for number in SIGNALS]
    signal_after(STEPS + 2)
    with pytest.raises(training.RunInterrupted) as stop:
        training.run(settings_of(name), out=tmp_path)
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    (run,) = tmp_path.glob("0*")
    assert "stopping after this step; press Ctrl-C again to stop now" in capfd.readouterr().err
    assert str(stop.value).startswith("interrupted after epoch 1 and 2 steps of the next; resume with: ")
    assert stop.value.exit_code == 128 + signal.SIGTERM
    assert checkpoints.latest(run)[0] == TrainingPosition(1, 2)
    training.resume(run)
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert f"{run}: 1 of 2 epochs and 2 steps done" in capfd.readouterr().out
    assert_same_run(run, uninterrupted(name))


@pytest.mark.parametrize(
    "step", [step if step == STEPS else pytest.param(step, marks=pytest.mark.slow) for step in range(1, 2 * STEPS + 1)]
)
def test_every_step_can_be_the_last(step, settings_of, uninterrupted, signal_after, tmp_path):
    signal_after(step)
    with pytest.raises(training.RunInterrupted):
        training.run(settings_of("vae-mlp"), out=tmp_path)
    (run,) = tmp_path.glob("0*")
    # A stop at the end of an epoch comes after its validation.
    assert checkpoints.latest(run)[0] == TrainingPosition(step // STEPS, step % STEPS)
    before = history.read(run / "history.csv") if step >= STEPS else []
    training.resume(run)
    assert_same_run(run, uninterrupted("vae-mlp"))
    after = history.read(run / "history.csv")
    assert after[: len(before)] == before
    assert all(row["seconds"] > 0 for row in after)


@pytest.mark.slow
def test_a_run_stopped_again_and_again_ends_in_the_same_bits(settings_of, uninterrupted, signal_after, tmp_path):
    signal_after(1, signal.SIGINT)
    with pytest.raises(training.RunInterrupted):
        training.run(settings_of("gan-conv"), out=tmp_path)
    (run,) = tmp_path.glob("0*")
    for _ in range(2 * STEPS - 2):
        signal_after(1, signal.SIGINT)
        with pytest.raises(training.RunInterrupted):
            training.resume(run)
    training.resume(run)
    assert_same_run(run, uninterrupted("gan-conv"))


@pytest.mark.parametrize("name", ["vae-mlp", pytest.param("wgan-gp", marks=pytest.mark.slow)])
def test_a_run_resumes_from_a_checkpoint_in_an_epoch_after_a_crash(
    name, settings_of, uninterrupted, monkeypatch, tmp_path
):
    """A crash, like SIGKILL, saves nothing: the newest checkpoint is of the last multiple of 3 steps."""
    real, left = StopOnDivergence.on_train_batch_end, [STEPS + 3]

    def crash(self, batch, logs=None):
        real(self, batch, logs)
        left[0] -= 1
        if not left[0]:
            raise SystemExit("killed")

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(StopOnDivergence, "on_train_batch_end", crash)
        training.run(settings_of(name, checkpoint_every="3steps"), out=tmp_path)
    (run,) = tmp_path.glob("0*")
    assert names(run / "checkpoints") == ["epoch-00000-step-00000003.npz", "epoch-00001-step-00000002.npz"]
    assert len(history.read(run / "history.csv")) == 1
    training.resume(run)
    assert_same_run(run, uninterrupted(name))


@pytest.mark.parametrize(
    "together", [pytest.param(2, marks=pytest.mark.slow), 4, pytest.param(32, marks=pytest.mark.slow)]
)
def test_steps_executed_together_have_the_bits_of_single_steps(together, settings_of, uninterrupted, tmp_path):
    run = training.run(settings_of("vae-mlp", steps_per_execution=together), out=tmp_path)
    assert_same_run(run, uninterrupted("vae-mlp"))


@pytest.mark.parametrize(
    ("every", "begin", "undivided"),
    [
        (1, TrainingPosition(), 860),
        ("500steps", TrainingPosition(), 20),
        ("7steps", TrainingPosition(), 1),
        ("10steps", TrainingPosition(3, 120), 10),
        ("5minutes", TrainingPosition(3, 120), 740),
        (1, TrainingPosition(3, 121), 739),
    ],
    ids=str,
)
def test_executions_of_several_steps_end_with_epochs_and_checkpoints(every, begin, undivided):
    settings = RunSettings("vae-mlp", checkpoint_every=every)
    assert trainer._undivided_steps(settings, begin, 860) == undivided


def test_a_second_ctrl_c_stops_at_once(settings_of, monkeypatch, tmp_path):
    def twice(self, batch, logs=None):
        if batch == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(StopOnDivergence, "on_train_batch_end", twice)
    with pytest.raises(training.RunInterrupted, match="^interrupted before the first checkpoint; resume with: "):
        training.run(settings_of("vae-mlp"), out=tmp_path)


# Divergence


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_state(tmp_path):
    data = write_npz(tmp_path / "noise.npz")
    options = ("--batch-size", 4, "--steps-per-execution", 1, "--set", "learning_rate=1e12")
    error = train(tmp_path / "runs", data, *options, epochs=3).error
    run = only_run(tmp_path / "runs")
    assert error.startswith("error: training diverged: ")
    assert " is nan after step " in error or " is inf after step " in error
    assert f" of epoch 1; {run} has no earlier checkpoint, but resuming would diverge again" in error


def test_a_weight_that_is_not_finite_is_never_saved(tmp_path):
    model = loading.zoo.build("vae-mlp", (8, 8, 1), hidden=4, latent_dim=2)
    first = save_checkpoint(tmp_path, model, TrainingPosition(1))
    content = first.read_bytes()
    bias = model.encoder.trainable_variables[1]
    bias.assign(np.full(bias.shape, np.inf, np.float32))
    with pytest.raises(TrainingDiverged, match=r"^training diverged: .*bias is not finite after epoch 1 and 3 steps"):
        save_checkpoint(tmp_path, model, TrainingPosition(1, 3))
    assert names(tmp_path / "checkpoints") == [first.name]
    assert first.read_bytes() == content


def test_the_step_that_diverged_is_named(tmp_path):
    callback = StopOnDivergence(initial_step=5)
    callback.on_epoch_begin(1)
    callback.on_train_batch_end(0, {"d_loss": 1.0, "g_loss": 2.0})
    with pytest.raises(TrainingDiverged, match="^training diverged: g_loss is nan after step 7 of epoch 2$"):
        callback.on_train_batch_end(1, {"d_loss": 1.0, "g_loss": float("nan")})
    callback.on_epoch_begin(2)
    callback.set_params({"steps": 10})  # the epoch ends within an execution of 32 steps
    with pytest.raises(TrainingDiverged, match="d_loss is -inf, g_loss is nan after one of steps 1 to 10 of epoch 3$"):
        callback.on_train_batch_end(31, {"d_loss": -float("inf"), "g_loss": float("nan")})


# What has changed since a run was started


@pytest.fixture(scope="module")
def done(settings_of, only_training, tmp_path_factory):
    return training.run(settings_of("vae-mlp", epochs=1), out=tmp_path_factory.mktemp("done"))


@pytest.fixture
def copied(done, tmp_path):
    return shutil.copytree(done, tmp_path / "copied")


def change(path, **entries):
    files.write_json(path, run_directory.read_json(path) | entries)


def test_a_recipe_that_builds_another_model_is_refused_with_the_differences(copied):
    configuration = run_directory.read_json(copied / "model.json")["configuration"]
    changed = configuration | {"encoder/layers/2/units": 300, "optimizer/learning_rate": 0.5}
    change(copied / "model.json", configuration=changed)
    with pytest.raises(UsageError) as error:
        training.resume(copied, epochs=2)
    rate = configuration["optimizer/learning_rate"]
    assert str(error.value) == (
        f"recipe vae-mlp no longer builds the model of {copied}: "
        f"encoder/layers/2/units: 300 then, 8 now; optimizer/learning_rate: 0.5 then, {rate} now"
    )


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_changed_environment_is_reported_or_refused(copied, deterministic, monkeypatch, capsys):
    # It would hold for the whole process.
    monkeypatch.setattr(loading.tf.config.experimental, "enable_op_determinism", lambda: None)
    record = run_directory.read_json(copied / "recipe.json")
    change(
        copied / "recipe.json",
        settings=record["settings"] | {"deterministic": deterministic},
        versions=record["versions"] | {"keras": "2.0"},
        machine=record["machine"] | {"processor": "Z80", "threads_in_an_operation": 7},
    )
    change(copied / "model.json", sources=provenance.sources() | {"models/vae.py": "0" * 16})
    machine = provenance.machine()
    what = (
        f"keras: 2.0 then, {provenance.versions()['keras']} now; "
        f"processor: Z80 then, {machine['processor']} now; "
        f"threads_in_an_operation: 7 then, {machine['threads_in_an_operation']} now; "
        "keras_gen's own source, in models/vae.py"
    )
    if deterministic:
        with pytest.raises(UsageError) as error:
            training.resume(copied, epochs=2)
        assert str(error.value) == f"run {copied} is deterministic, and its environment has changed: {what}"
    else:
        training.resume(copied, epochs=2)
        expected = f"NOTE: the run's environment has changed, so its results may differ: {what}\n"
        assert expected in capsys.readouterr().out


def test_a_run_is_resumed_by_one_process_and_cleaned_of_temporary_files(copied):
    for name in (
        ".recipe.json.keras_gen-abcd1234.json",
        "checkpoints/.epoch-00002.npz.keras_gen-0a1b2c3d.npz",
        "samples/.epoch-00001.png.keras_gen-aaaaaaaa.png",
    ):
        (copied / name).write_bytes(b"half")
    (copied / ".saved_model.keras_gen-abcdefg_" / "new").mkdir(parents=True)
    kept = copied / ".keep-this"
    kept.write_text("not ours")
    with trainer.locking.locked(copied, "run"):
        error = call("run", "--resume", copied, "--epochs", 2).error
    assert error == f"error: run {copied} is in use by process {os.getpid()}: wait for it to end, or stop it"
    outcome = call("run", "--resume", copied, "--epochs", 2)
    assert outcome.code == 0, outcome.err
    assert "NOTE" not in outcome.out
    assert list(copied.rglob(".*")) == [kept]
