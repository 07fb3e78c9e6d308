"""Train a grid of settings and seeds, or a list of runs, each member in its own process."""

from keras_gen.training.sweeps.plan import Plan, RunList
from keras_gen.training.sweeps.runner import Commands, SweepInterrupted, create, resume, resume_command, run
from keras_gen.training.sweeps.state import Member, Sweep, read
from keras_gen.training.sweeps.table import Quantity, Row, notes, rows, write_csv

__all__ = [
    "Commands",
    "Member",
    "Plan",
    "Quantity",
    "Row",
    "RunList",
    "Sweep",
    "SweepInterrupted",
    "create",
    "run",
    "resume",
    "resume_command",
    "notes",
    "read",
    "rows",
    "write_csv",
]
