"""Two processes on this machine that train together: equality with one process, kills, resuming, wrong arguments."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from command_helpers import EXPERIMENTS, call, environment, write_npz
from replica_helpers import EXACT, assert_trained_alike, free_addresses, results_of, start_program
from run_helpers import history_without_seconds, state_of

from keras_gen.runs import checkpoints

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")
EPOCHS = 3
# Adam amplifies the rounding errors of gradients that are 0 in exact arithmetic: those of biases that a batch
# normalization removes, and on which its moving averages, used in validation, depend.
TOLERANCES = {"vae-mlp": 2e-4, "gan-mlp": 2e-4, "wgan-gp": 1e-2}
RECIPES = {
    "vae-mlp": ("hidden=8", "latent_dim=2"),
    "gan-mlp": ("latent_dim=3",),
    "wgan-gp": ("latent_dim=3", "width=4", "critic_steps=2"),
}


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, EXPERIMENTS / "run.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment(),
    )


def start_two(*arguments):
    workers = ",".join(free_addresses(2))
    return [start(*arguments, "--workers", workers, "--worker-index", index) for index in range(2)]


def finish(*processes):
    for process in processes:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err


def wait_for_step(process, run):
    """Wait for a checkpoint in the middle of the second epoch."""
    deadline = time.monotonic() + 120
    while not list((run / "checkpoints").glob("epoch-00001-step-*.npz")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_close_histories(one, other, tolerance):
    for ours, theirs in zip(history_without_seconds(one), history_without_seconds(other), strict=True):
        assert ours.keys() == theirs.keys()
        for quantity, value in ours.items():
            if quantity.startswith("fd_"):
                continue
            assert float(value) == pytest.approx(float(theirs[quantity]), rel=tolerance, abs=tolerance / 10), quantity


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "victim", "alone"),
    [("vae-mlp", 1, False), ("gan-mlp", 0, True), ("gan-mlp", 0, False), ("wgan-gp", 1, False)],
)
def test_two_workers_train_as_one_process_also_when_one_is_killed_and_the_run_resumed(name, victim, alone):
    data = write_npz("noise.npz", train=51)  # 4 of them for validation; the last batch is smaller
    options = ["--model", name, "--set", *RECIPES[name], "--dataset", data, "--epochs", EPOCHS, "--samples", 4]
    options += ["--batch-size", 4, "--checkpoint-every", "2steps", "--fid-every"]
    # The chief's scores must not start TensorFlow before the cluster does.
    options += [1, "--extractor", "lenet", "--fid-images", 20, "--keep-best", "fd_lenet"] if name == "vae-mlp" else [0]
    if name == "wgan-gp":
        options += ["--image-size", 12]

    finish(*start_two(*options, "--out", "two"))
    two = Path("two") / f"00001-{name}"
    if name == "vae-mlp":
        best = checkpoints.best(two, "fd_lenet")
        assert best.value == min(float(row["fd_lenet"]) for row in history_without_seconds(two))
        assert json.loads((two / "saved_model/description.json").read_text())["best_epoch"]["fd_lenet"] == best.value
    finish(start(*options, "--out", "one"))
    one = Path("one") / f"00001-{name}"
    assert_close_histories(two, one, TOLERANCES[name])
    farthest = [np.abs(a.astype(float) - b).max() for a, b in zip(state_of(two), state_of(one), strict=True)]
    assert np.median(farthest) < 1e-4

    processes = start_two(*options, "--out", "broken")
    broken = Path("broken") / f"00001-{name}"
    wait_for_step(processes[0], broken)
    processes[victim].kill()
    processes[victim].communicate(timeout=60)
    _, err = processes[1 - victim].communicate(timeout=60)
    assert processes[1 - victim].returncode == 2, err
    where = broken if victim else "RUN"  # only the chief knows
    how = f"with all workers, resume with: python {EXPERIMENTS / 'run.py'} --resume {where}"
    assert err.splitlines()[-1] == f"error: run {where} stopped: another worker is gone; {how}"
    assert checkpoints.latest(broken)[0].epoch < EPOCHS
    if alone:  # one process resumes what two began
        finish(start("--resume", broken))
        assert_close_histories(broken, one, TOLERANCES[name])
        return
    finish(*start_two("--resume", broken))
    for index, (ours, theirs) in enumerate(zip(state_of(broken), state_of(two), strict=True)):
        np.testing.assert_array_equal(ours, theirs, err_msg=f"variable {index}")
    # Averages of the broken epoch were restored as equal shares of each worker.
    assert_close_histories(broken, two, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_hangs_is_given_up_and_stops_when_it_continues(victim):
    """As after a failure of a machine or the network, no connection is closed."""
    options = ["--model", "vae-mlp", "--set", *RECIPES["vae-mlp"], "--dataset", write_npz("noise.npz", train=48)]
    options += ["--batch-size", 4, "--fid-every", 0, "--samples", 4, "--samples-every", 1000]
    processes = start_two(*options, "--epochs", 1000, "--checkpoint-every", "2steps")
    run = Path("runs/00001-vae-mlp")
    wait_for_step(processes[0], run)
    os.kill(processes[victim].pid, signal.SIGSTOP)
    try:
        outputs = [processes[1 - victim].communicate(timeout=120)]
    finally:
        os.kill(processes[victim].pid, signal.SIGCONT)
    outputs.append(processes[victim].communicate(timeout=120))
    for _, err in outputs:
        assert "stopped: another worker is gone; with all workers, resume with: " in err.splitlines()[-1]
    assert [process.returncode for process in processes] == [2, 2]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_workers_stop_together_and_save_when_one_gets_a_signal(number):
    options = ["--model", "vae-mlp", "--set", *RECIPES["vae-mlp"], "--dataset", write_npz("noise.npz", train=48)]
    options += ["--batch-size", 4, "--fid-every", 0, "--samples", 4, "--samples-every", 1000]
    receiver = 1 if number == signal.SIGTERM else 0
    processes = start_two(*options, "--epochs", 1000, "--checkpoint-every", 1000)
    run = Path("runs/00001-vae-mlp")
    deadline = time.monotonic() + 120
    while not (run / "history.csv").exists():
        assert time.monotonic() < deadline and processes[0].poll() is None
        time.sleep(0.05)
    os.kill(processes[receiver].pid, number)
    errors = [process.communicate(timeout=60)[1].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [128 + (number if i == receiver else 2) for i in range(2)]
    position, _ = checkpoints.latest(run)  # written because of the signal
    for index, where, when in ((0, run, f" after {position}"), (1, "RUN", "")):
        what = "interrupted" if index == receiver else "another worker was interrupted"
        how = f"with all workers, resume with: python {EXPERIMENTS / 'run.py'} --resume {where}"
        assert errors[index] == f"{what}{when}; {how}"
    finish(*start_two("--resume", run, "--epochs", position.epoch + 1))
    assert checkpoints.latest(run)[0] == checkpoints.TrainingPosition(position.epoch + 1)


@pytest.mark.slow
def test_workers_with_different_settings_are_refused():
    options = ["--model", "vae-mlp", "--set", *RECIPES["vae-mlp"], "--dataset", write_npz("noise.npz")]
    assert call("run", *options, "--epochs", 1, "--fid-every", 0).code == 0
    resumed = ["--resume", "runs/00001-vae-mlp", "--workers", ",".join(free_addresses(2))]
    processes = [start(*resumed, "--worker-index", index, "--epochs", 2 + index) for index in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        expected = "error: epochs must be the same on all workers, received: 2 on worker 0, 3 on worker 1"
        assert (process.returncode, err.splitlines()[-1]) == (2, expected)


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_can_not_be_reached_is_named(index):
    workers = free_addresses(2)
    options = ["--model", "vae-mlp", "--dataset", write_npz("noise.npz"), "--workers", ",".join(workers)]
    error = call("run", *options, "--worker-wait", 0.5, "--worker-index", index).error
    why = f"worker {1 - index} ({workers[1 - index]}): Connection refused"
    assert error == f"error: workers can't be reached within 0.5 seconds: {why}"
    assert not os.path.exists("runs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "multiworker"], "strategy multiworker needs a cluster: TF_CONFIG, or --workers and"),
        (["--workers", "a:1,b:1"], "--workers and --worker-index must be given together"),
        (["--workers", "a:1,b", "--worker-index", 0], "workers must be host:port"),
        (["--worker-wait", 3], "--worker-wait can't be used here: it needs --workers"),
        (
            ["--strategy", "mirrored", "--workers", "a:1,b:1", "--worker-index", 0],
            "strategy must be auto or multiworker with a cluster of workers, received: 'mirrored'",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    assert message in call("run", "--model", "vae-mlp", "--dataset", "digits", *arguments).error


USER_SCRIPT = textwrap.dedent(
    """
    import json
    import os
    import sys

    if len(sys.argv) > 1:
        workers, index = sys.argv[1].split(","), int(sys.argv[2])
        task = {"type": "worker", "index": index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})
    else:
        index = 0

    import keras
    import numpy as np
    import tensorflow as tf
    from keras_gen import UsageError, callbacks, data, distribution, zoo

    strategy = distribution.strategy("auto")
    with strategy.scope():
        model = zoo.build("vae-mlp", (8, 8, 1), hidden=4, latent_dim=2, seed=3)
        model.compile(keras.optimizers.SGD(1e-3))
    images = np.random.default_rng(0).integers(0, 256, (13, 8, 8, 1), np.uint8)
    results = [[type(strategy).__name__, distribution.is_chief(strategy)]]
    distribution.check_same_on_all_workers(strategy, {"seed": 3})
    try:
        distribution.check_same_on_all_workers(strategy, {"seed": 3, "index": index})
    except UsageError as error:
        results[0].append(str(error))
    history = model.fit(
        images,
        shuffle=False,
        batch_size=4,
        epochs=2,
        verbose=0,
        validation_data=images[:7],
        validation_batch_size=4,
        callbacks=[callbacks.Checkpoint("run", "5minutes")],
    )
    results.append({name: values[-1] for name, values in history.history.items()})
    batches = data.batches(images, batch_size=4, seed=1, strategy=strategy)
    history = model.fit(batches.dataset, steps_per_epoch=batches.steps_per_epoch, verbose=0)
    results.append({name: values[-1] for name, values in history.history.items()})
    results.append(model.evaluate(data.evaluation_batches(images, batch_size=4), verbose=0, return_dict=True))
    results.append(model.predict(images, batch_size=4, verbose=0).sum(axis=(1, 2, 3)).tolist())
    results.append(model.generate(2, seed=1)["images_float"].numpy().mean(axis=(1, 2, 3)).tolist())
    try:
        model.fit(tf.data.Dataset.from_tensor_slices(images).shuffle(13, seed=index).batch(4), verbose=0)
    except UsageError as error:
        results.insert(0, str(error))
    print(json.dumps(results))
    """
)


def run_user_script(folder, *workers):
    command = [sys.executable, "-c", USER_SCRIPT, ",".join(workers)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    folder.mkdir()
    processes = [subprocess.Popen([*command, str(index)], cwd=folder, **options) for index in range(len(workers))]
    results = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        results.append(json.loads(out.splitlines()[-1]))
    return results


def test_a_users_script_gives_the_same_results_on_two_workers_and_on_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    exec(USER_SCRIPT, {})  # in this process, to save a start
    one, *expected = json.loads(capsys.readouterr().out.splitlines()[-1])
    (refused, chief, *first), (also_refused, worker, *second) = run_user_script(
        tmp_path / "workers", *free_addresses(2)
    )
    assert refused == also_refused
    assert refused.startswith("x must be the same on all workers, in the same order (a dataset that shuffles ")
    assert (one[1:], chief[1], worker[1]) == ([True], True, False)
    assert chief[2] == worker[2] == "index must be the same on all workers, received: 0 on worker 0, 1 on worker 1"
    assert chief[0] == worker[0] == "CollectiveAllReduceStrategy"
    for theirs, *ours in zip(expected, first, second, strict=True):
        for each in ours:
            assert each == pytest.approx(theirs, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_a_step_of_several_workers_is_that_of_one_device(count):
    workers = free_addresses(count)
    tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in range(count)]
    processes = [start_program(1, ["multiworker"], EXACT, TF_CONFIG=json.dumps(task)) for task in tasks]
    processes.append(start_program(1, ["none"], EXACT))
    *several, alone = [results["trained"] for results in results_of(*processes)]
    for worker in several:
        for (kind, images, _), (one,), (part,) in zip(EXACT, alone, worker, strict=True):
            assert_trained_alike(one, part, count, kind, images)
