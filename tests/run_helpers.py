"""Comparing run directories to the bit. No tests in here."""

import csv

import numpy as np

from keras_gen.runs import checkpoints, run_directory


def state_of(run):
    """Every variable of the newest checkpoint, in order; their names depend on what else a process built."""
    with np.load(checkpoints.latest(run)[1]) as archive:
        return [archive[name] for name in sorted(archive.files) if name[0].isdigit()]


def history_without_seconds(run):
    """The history as text, but for what no two runs share."""
    with open(run / run_directory.HISTORY_FILE, newline="") as file:
        return [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def assert_same_run(run, other):
    """State, history and pictures of two runs are the same bits."""
    assert checkpoints.latest(run)[0] == checkpoints.latest(other)[0]
    for index, (one, another) in enumerate(zip(state_of(run), state_of(other), strict=True)):
        np.testing.assert_array_equal(one, another, err_msg=f"variable {index}")
    assert history_without_seconds(run) == history_without_seconds(other)
    pictures = [sorted(path.relative_to(folder) for path in folder.rglob("epoch-*.png")) for folder in (run, other)]
    assert pictures[0] == pictures[1]
    for picture in pictures[0]:
        assert (run / picture).read_bytes() == (other / picture).read_bytes(), picture
