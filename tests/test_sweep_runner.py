"""The sweep runner, with scripted processes in place of training."""

import csv
import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_gen import UsageError
from keras_gen.runs.locking import Lock, locked
from keras_gen.runs.settings import RunSettings
from keras_gen.training import sweeps
from keras_gen.training.sweeps import Plan

# Replaces run.py: `start OUT SETTINGS` and `resume RUN`. latent_dim selects its behavior.
MEMBER = """
import json, os, signal, sys, time
from pathlib import Path

mode, place, settings = sys.argv[1:]
settings = json.loads(settings)
behavior = settings["overrides"].get("latent_dim", 1)
if Path("stubborn").exists():
    signal.signal(signal.SIGTERM, lambda number, frame: Path("asked").touch())
else:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
print("NOTE: a word to the user")
print("in", os.getcwd())
if behavior == 2 and not Path("mended").exists():
    print("error: no such thing", file=sys.stderr)
    sys.exit(2)
if behavior == 3:
    sys.exit(3)
if behavior == 4:
    sys.exit(0)
run = Path(place)
if mode == "start":
    run /= f"{max([int(name[:5]) for name in os.listdir(place)] + [0]) + 1:05d}-{settings['model']}"
    run.mkdir()
    data = {"name": "digits", "fingerprint": "f", "requested": settings["dataset"]}
    record = {"settings": settings | {"dataset": "digits", "extractor": "lenet"}, "data": data}
    (run / "made.json").write_text(json.dumps(record))
    os.rename(run / "made.json", run / "recipe.json")
if behavior == 5:
    deadline = time.monotonic() + 60
    while not Path("go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
if behavior == 6:
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)
with open(run / "history.csv", "w") as file:
    file.write("epoch,seconds,updates,loss,val_loss,fd_lenet,fd_lenet_images\\n")
    for epoch in range(1, settings["epochs"] + 2):
        score = f"{behavior + settings['seed']}.5,100" if epoch == 2 else ","
        file.write(f"{epoch},0.5,{epoch},{epoch},{10 * behavior + settings['seed'] ** 2},{score}\\n")
if behavior == 7:
    record = json.loads((run / "recipe.json").read_text())
    record["ended_early"] = {"reason": "enough", "planned_epochs": settings["epochs"]}
    settings["epochs"] = 1
    (run / "recipe.json").write_text(json.dumps(record | {"settings": record["settings"] | {"epochs": 1}}))
(run / "saved_model").mkdir(exist_ok=True)
(run / "saved_model" / "description.json").write_text(json.dumps({"epochs": settings["epochs"]}))
"""
QUICK = {"epochs": 2}


@pytest.fixture(autouse=True)
def own_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


COMMANDS = """
import json, os, sys
from keras_gen.commands import cli
from keras_gen.training import sweeps

PROGRAM = [sys.executable, os.path.abspath("member.py")]

def start(settings, out):
    return [*PROGRAM, "start", str(out), json.dumps(settings.to_json())]

def resume(run):
    return [*PROGRAM, "resume", str(run), json.dumps(json.loads((run / "recipe.json").read_text())["settings"])]

COMMANDS = sweeps.Commands(start, resume)
"""
IN_A_PROCESS = """
try:
    sweeps.run(sweeps.Plan("vae-mlp", {"epochs": 2, "latent_dim": 5}, seeds=2), COMMANDS, out="sweeps")
except sweeps.SweepInterrupted as interruption:
    cli.fail(str(interruption), cli.INTERRUPTED)
"""


@pytest.fixture
def commands():
    Path("member.py").write_text(MEMBER)
    names = {}
    exec(COMMANDS, names)
    return names["COMMANDS"]


def statuses(sweep):
    return [member.status for member in sweep.members]


def runs_of(sweep):
    return [member.run and member.run.name for member in sweep.members]


def test_members_that_fail_do_not_end_the_others(commands, capsys):
    grid = {"latent_dim": [2, 3, 4, 6, 1]}
    sweep = sweeps.run(Plan("vae-mlp", QUICK, grid), commands, out="sweeps")
    assert statuses(sweep) == ["failed"] * 4 + ["finished"]
    why = "it left no run directory with all epochs"
    errors = ["no such thing", "in " + os.getcwd(), why, "killed by SIGKILL", None]
    assert [member.error for member in sweep.members] == errors
    assert runs_of(sweep) == [None, None, None, "00001-vae-mlp", "00002-vae-mlp"]
    assert statuses(sweeps.read(sweep.path)) == ["waiting"] * 3 + ["stopped", "finished"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"5 members, sweep directory {sweep.path}"
    assert lines[1] == f"[1/5] latent_dim=2 seed=0: started, log {sweep.path / 'logs' / '001.log'}"
    duration = r"\d+:\d\d:\d\d"
    failed = rf"\[1/5\] latent_dim=2 seed=0: failed after {duration} \({duration} in all\): no such thing"
    assert re.fullmatch(failed, lines[2]), lines[2]
    assert lines.count("NOTE: a word to the user") == 1
    assert (sweep.path / "logs" / "001.log").read_text().startswith(f"$ {sys.executable} ")


def test_resuming_keeps_finished_members_resumes_runs_and_starts_the_rest(commands, capsys, monkeypatch):
    grid = {"latent_dim": [1, 2, 6, 7]}
    sweep = sweeps.run(Plan("vae-mlp", QUICK, grid), commands, out="sweeps")
    assert statuses(sweep) == ["finished", "failed", "failed", "finished"]
    Path("mended").touch()
    history = (sweep.members[0].run / "history.csv").absolute()
    history.write_text("not to be touched")
    shutil.rmtree(sweep.members[3].run)
    capsys.readouterr()
    path = sweep.path.absolute()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    again = sweeps.resume(path, commands)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: 1 of 4 members done"
    assert [line.split(": ")[1].split(",")[0] for line in lines if ", log " in line] == [
        "started",
        "resumed",
        "started",
    ]
    assert statuses(again) == ["finished", "finished", "failed", "finished"]
    assert runs_of(again) == [f"0000{number}-vae-mlp" for number in (1, 3, 2, 4)]
    assert history.read_text() == "not to be touched"
    log = (path / "logs" / "002.log").read_text()
    assert log.count("$ ") == 2
    assert log.count(f"in {path.parents[1]}\n") == 2  # the working directory of the start


def test_a_run_belongs_to_the_member_with_its_settings(commands):
    grid = {"dataset": [None, "digits"], "epochs": [2, 5]}
    sweep = sweeps.run(Plan("vae-mlp", {"extractor": "lenet"}, grid), commands)
    assert runs_of(sweep) == [f"0000{number}-vae-mlp" for number in (1, 2, 3, 4)]
    for changes, expected in ({"epochs": 3}, "00001-vae-mlp"), ({"seed": 1}, None):  # trained further, or another run
        record = json.loads((sweep.members[0].run / "recipe.json").read_text())
        record["settings"] |= changes
        (sweep.members[0].run / "recipe.json").write_text(json.dumps(record))
        assert runs_of(sweeps.read(sweep.path)) == [expected, *(f"0000{number}-vae-mlp" for number in (2, 3, 4))]


def in_a_process():
    """Start a sweep of two waiting members in a session of its own; return once the first has its run directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMANDS + IN_A_PROCESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a background job of a shell
    )
    path = Path("sweeps", "00001-vae-mlp")
    deadline = time.monotonic() + 60
    while not ((path / "sweep.json").exists() and sweeps.read(path).members[0].run):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, path


def holder(path):
    """Return the process ids of the sweep and its member."""
    words = (path / "lock").read_text().replace(",", "").split()
    return [int(word) for word in words if word.isdecimal()]


def ended(process_id):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process_id}/stat").exists():
            if Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True  # a zombie
        time.sleep(0.02)
    return False


def test_a_stop_request_stops_the_member_and_says_how_to_resume(commands):
    process, path = in_a_process()
    _, member = holder(path)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    how = f"resume with: keras-gen sweep --resume {path}"
    assert (process.returncode, err) == (130, f"interrupted after 0 of 2 members; {how}\n")
    assert ended(member)
    assert statuses(sweeps.read(path)) == ["stopped", "waiting"]
    Path("go").touch()
    again = sweeps.resume(path, commands)
    assert statuses(again) == ["finished", "finished"]
    assert runs_of(again) == ["00001-vae-mlp", "00002-vae-mlp"]


def test_a_second_request_kills_a_member_that_does_not_stop(commands):
    Path("stubborn").touch()
    process, path = in_a_process()
    _, member = holder(path)
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 30
    while not Path("asked").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopping member 1; interrupt again to kill it\n" in out
    assert ended(member)
    assert statuses(sweeps.read(path)) == ["stopped", "waiting"]


def test_a_sweep_can_not_be_resumed_before_its_last_process_has_ended(commands):
    process, path = in_a_process()
    sweep, member = holder(path)
    assert sweep == process.pid
    who = f"is in use by process {sweep}, whose member is process {member}: wait for it to end, or stop it"
    with pytest.raises(UsageError, match=who):
        sweeps.resume(path, commands)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    with pytest.raises(UsageError, match=who):  # the member is still running
        sweeps.resume(path, commands)
    assert statuses(sweeps.read(path)) == ["stopped", "waiting"]
    Path("go").touch()
    assert ended(member)
    again = sweeps.resume(path, commands)
    assert statuses(again) == ["finished", "finished"]
    assert runs_of(again) == ["00001-vae-mlp", "00002-vae-mlp"]


def test_a_full_disk_leaves_no_member_training(commands, monkeypatch):
    real = Lock.say

    def full(self, who):
        if "whose member" in who:
            deadline = time.monotonic() + 60
            while not list(Path("sweeps").glob("*/runs/*/recipe.json")):  # the member has not started yet
                assert time.monotonic() < deadline
                time.sleep(0.02)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, who)

    monkeypatch.setattr(Lock, "say", full)
    with pytest.raises(OSError, match="No space left"):
        sweeps.run(Plan("vae-mlp", QUICK, {"latent_dim": [5]}), commands)
    log = Path("sweeps", "00001-vae-mlp", "logs", "001.log")
    assert log.read_text().endswith("KeyboardInterrupt\n")


def test_a_system_without_locks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(UsageError, match="a sweep needs file locks, which Linux and macOS have"):
        with locked(tmp_path, "sweep"):
            pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "sweep must be a sweep directory (a folder with sweep.json), received: 'folder'"),
        ("[]", "sweep.json is damaged: it must hold one JSON object"),
        ("{}", "sweep.json is damaged, or from another version of keras_gen"),
        (
            '{"members": [{"values": {}, "settings": {"model": "vae-mlp", "epoch": 3}}]}',
            "its settings are not understood",
        ),
    ],
)
def test_what_is_no_sweep_is_refused(commands, content, message):
    Path("folder").mkdir()
    if content is not None:
        Path("folder", "sweep.json").write_text(content)
    with pytest.raises(UsageError) as caught:
        sweeps.resume("folder", commands)
    assert message in str(caught.value)
    assert not Path("folder", "lock").exists()


def test_a_sweep_is_not_resumed_without_its_working_directory(commands):
    sweep = sweeps.run(Plan("vae-mlp", QUICK), commands)
    dataclasses.replace(sweep, directory=os.path.abspath("gone")).write()
    with pytest.raises(UsageError, match="was started in .*gone, which is gone"):
        sweeps.resume(sweep.path, commands)


# The table


def test_rows_are_means_and_deviations_over_seeds_of_the_last_epoch(commands):
    plan = Plan("vae-mlp", QUICK, {"latent_dim": [1, 2]}, seeds=3)
    sweep = sweeps.run(plan, commands)
    first, second = sweeps.rows(sweep)
    assert (first.values, first.members, first.finished) == ({"latent_dim": 1}, 3, 3)
    assert list(first.quantities) == ["loss", "val_loss", "fd_lenet"]
    assert first.scores == ("fd_lenet",)
    assert first.quantities["loss"] == sweeps.Quantity(2.0, 0.0)  # of epoch 2, though there is a third
    assert first.quantities["val_loss"].mean == pytest.approx(10 + 5 / 3)  # of 10 + 0, 1, 4
    assert first.quantities["val_loss"].deviation == pytest.approx((13 / 3) ** 0.5)
    assert first.quantities["fd_lenet"] == sweeps.Quantity(2.5, 1.0)
    assert (second.finished, second.quantities, second.scores) == (0, {}, ())
    sweeps.write_csv(sweep, [first, second])
    with open(sweep.path / "sweep.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["latent_dim"] for row in written] == ["1", "2"]
    assert (written[0]["fd_lenet_mean"], written[0]["fd_lenet_std"]) == ("2.5", "1.0")
    assert (written[1]["members"], written[1]["finished"], written[1]["val_loss_mean"]) == ("3", "0", "")


def test_runs_of_a_list_that_differ_in_their_seed_share_a_row(commands):
    settings = [RunSettings("vae-mlp", epochs=2, seed=0), RunSettings("gan-mlp", {"latent_dim": 8}, epochs=2)]
    plan = sweeps.RunList(["one", "another", "one"], [*settings, dataclasses.replace(settings[0], seed=2)])
    sweep = sweeps.run(plan, commands)
    assert sweep.path == Path("sweeps", "00001-runs")
    one, another = sweeps.rows(sweep)
    assert (one.values, one.members, one.finished) == ({"run": "one"}, 2, 2)
    assert one.quantities["fd_lenet"] == sweeps.Quantity(2.5, pytest.approx(2**0.5))
    assert another.values == {"run": "another"}
    assert [member.values for member in sweeps.read(sweep.path).members] == [member.values for member in sweep.members]


def test_a_member_that_ended_early_is_finished_and_shows_its_last_epoch(commands):
    sweep = sweeps.run(Plan("vae-mlp", QUICK, {"latent_dim": [7]}), commands)
    for each in (sweep, sweeps.read(sweep.path), sweeps.resume(sweep.path, commands)):
        assert statuses(each) == ["finished"]
        [row] = sweeps.rows(each)
        assert row.quantities["loss"].mean == 1.0


def test_a_member_that_ended_early_and_was_trained_on_is_still_the_member(commands):
    settings = RunSettings("vae-mlp", {"latent_dim": 7}, epochs=2, max_minutes=5, patience=1, keep_best="loss")
    sweep = sweeps.run(sweeps.RunList(["mine"], [settings]), commands)
    path = sweep.members[0].run / "recipe.json"
    record = json.loads(path.read_text())
    del record["ended_early"]
    record["settings"] |= {"epochs": 2, "patience": None, "max_minutes": None}
    path.write_text(json.dumps(record))
    (path.parent / "saved_model" / "description.json").write_text('{"epochs": 2}')
    assert statuses(sweeps.read(sweep.path)) == ["finished"]


def test_a_single_seed_has_no_deviation_and_infinity_stays(commands):
    sweep = sweeps.run(Plan("vae-mlp", QUICK, seeds=2), commands)
    history = sweep.members[1].run / "history.csv"
    history.write_text("epoch,loss\n2,inf\n")
    [row] = sweeps.rows(sweep)
    assert list(row.quantities) == ["loss"]
    assert row.quantities["loss"].mean == float("inf")
    sweep.members[1].run = None
    [row] = sweeps.rows(sweep)
    assert row.quantities["fd_lenet"] == sweeps.Quantity(1.5, None)
    history = sweep.members[0].run / "history.csv"
    history.write_text("epoch,loss\n1,3\n")
    with pytest.raises(UsageError, match="history .* can't be read, or has no epoch 2"):
        sweeps.rows(sweep)


def test_members_on_other_data_are_pointed_out(commands):
    sweep = sweeps.run(Plan("vae-mlp", QUICK, seeds=3), commands)
    assert sweeps.notes(sweep) == []
    path = sweep.members[1].run / "recipe.json"
    record = json.loads(path.read_text())
    record["data"] |= {"name": "mnist", "fingerprint": "g", "substituted_because": "no network"}
    path.write_text(json.dumps(record))
    assert sweeps.notes(sweep) == [
        "member 2 was trained on mnist instead of its own data: no network",
        "members were trained on different data, do not compare them (digits: 1, 3; mnist: 2)",
    ]


def test_a_member_without_a_score_of_its_last_epoch_is_pointed_out(commands):
    sweep = sweeps.run(Plan("vae-mlp", QUICK, seeds=2), commands)
    history = sweep.members[0].run / "history.csv"
    history.write_text("epoch,loss,fd_lenet,fd_lenet_images\n1,3,7,100\n2,2,,\n")
    [row] = sweeps.rows(sweep)
    assert list(row.quantities) == ["loss"]
    assert sweeps.notes(sweep) == ["member 1 has no fd_lenet of its last epoch, 2; the last is of epoch 1"]


def test_a_sweep_whose_directory_is_removed_stops_and_does_not_make_it_anew(commands):
    def start(settings, out):
        if settings.seed == 1:
            shutil.rmtree("sweeps")
        return commands.start(settings, out)

    with pytest.raises(UsageError, match="sweeps/00001-vae-mlp was removed or replaced by another folder"):
        sweeps.run(Plan("vae-mlp", QUICK, seeds=3), dataclasses.replace(commands, start=start), out="sweeps")
    assert not Path("sweeps").exists()
