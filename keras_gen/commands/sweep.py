"""The command `experiments/sweep.py`: train a recipe on a grid of settings and seeds, or a list of runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import NoReturn

from keras_gen.commands import cli, run_options
from keras_gen.report.pages import comparison_page
from keras_gen.training import sweeps
from keras_gen.training.sweeps.state import CSV_FILE
from keras_gen.utils import safe_files
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line
from keras_gen.utils.text import counted

RUN = (sys.executable, "-P", "-m", "keras_gen", "run")  # -P: no module of the working directory


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(
        description="Train a recipe on a grid of settings and seeds, or the runs of a list; or resume such a sweep."
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--model", metavar="NAME", help="recipe to train, by name or alias")
    runs = "text file with the options of keras-gen run, one run per line, such as: --model gan-jsd --seed 1"
    mode.add_argument("--runs", metavar="FILE", type=cli.path, help=runs)
    mode.add_argument("--resume", metavar="SWEEP", type=cli.path, help="sweep directory to resume")
    run_options.add_recipes(parser)
    run_options.add_settings(parser, left_out=["seed"])
    add = parser.add_argument
    grid = "values of settings (epochs, batch_size, dataset, …) or recipe parameters: every combination is trained"
    add("--grid", nargs="+", action="extend", default=[], metavar="NAME=V1,V2", help=grid)
    add("--seeds", type=int, default=1, metavar="N", help="train each combination with seeds 0 to N-1")
    add("--out", type=cli.path, default=Path("sweeps"), metavar="DIR", help="folder of sweep directories")
    add("--dry-run", action="store_true", help="only print the members and their epochs")
    return parser


def main() -> None:
    """Run the command: parse, then train, resume or list the members."""
    command_line = parser()
    arguments = command_line.parse_args()
    if arguments.resume:
        others = vars(arguments).keys() - {"resume", "recipes", "dry_run"}
        command_line.refuse(arguments, dict.fromkeys(others, "a resumed sweep keeps its own settings"))
    if arguments.runs:
        others = vars(arguments).keys() - {"runs", "recipes", "dry_run", "out"}
        command_line.refuse(arguments, dict.fromkeys(others, "each line of --runs has its own settings"))
    run_options.load_recipes(arguments)
    plan = None
    if arguments.runs:
        plan = read_runs(arguments.runs)
    elif not arguments.resume:
        shared = [*arguments.set, *run_options.given(command_line, arguments)]
        plan = sweeps.Plan.parse(arguments.model, shared, arguments.grid, arguments.seeds)
    if plan is not None:
        note_unscored(plan)
    if arguments.dry_run:
        print_members(sweeps.read(arguments.resume) if plan is None else sweeps.Sweep.of(plan, arguments.out))
        return
    try:
        if plan is None:
            sweep = sweeps.resume(arguments.resume, COMMANDS)
        else:
            sweep = sweeps.run(plan, COMMANDS, out=arguments.out)
    except sweeps.SweepInterrupted as interruption:
        cli.fail(str(interruption), cli.INTERRUPTED)
    report(sweep)


class LineParser(cli.ArgumentParser):
    """Parser of a line in a file of runs."""

    def __init__(self):
        super().__init__(add_help=False)
        self.add_argument("--model", required=True)
        run_options.add_settings(self)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(message + self.hints())


def read_runs(path: Path) -> sweeps.RunList:
    """Return the runs of a text file: a line has the options of run.py for one of them; # begins a comment.

    Raises:
        UsageError: The file can't be read, a line is wrong, or two lines are the same run.
    """
    try:
        lines = safe_files.read_bytes(path).decode("utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise must_be("--runs", "a text file", str(path)) from error
    parser, labels, settings = LineParser(), [], []
    for number, line in enumerate(lines, start=1):
        try:
            if words := shlex.split(line, comments=True):
                arguments = parser.parse_args(words)
                settings.append(run_options.settings_of(arguments))
                given = [word for word in run_options.given(parser, arguments) if not word.startswith("seed=")]
                labels.append(" ".join([settings[-1].model, *sorted(arguments.set), *given]))
        except ValueError as error:  # a UsageError, or an open quotation mark
            raise UsageError(f"line {number} of {path}: {error}") from error
    try:
        return sweeps.RunList(labels, settings)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def note_unscored(plan) -> None:
    """Print which numbers of epochs leave the last epoch, shown in the table, without a score."""
    epochs = {
        settings.epochs for settings in plan.settings if settings.fid_every and settings.epochs % settings.fid_every
    }
    for count in sorted(epochs):
        print_line(f"NOTE: the last of {count} epochs will not be scored, since fid_every does not divide {count}")


def start_command(settings, out: Path) -> list[str]:
    """Return the command line of run.py that trains with these settings."""
    return [*RUN, f"--out={out}", *run_options.words_of(settings)]


def resume_command(run: Path) -> list[str]:
    """Return the command line of run.py that resumes a run."""
    return [*RUN, f"--resume={run}", *run_options.recipes_words()]


COMMANDS = sweeps.Commands(start_command, resume_command)
"""The command lines of the members' processes."""


def print_members(sweep) -> None:
    """Print every member that is not done, and their total number of epochs."""
    members = [member for member in sweep.members if not member.is_finished]
    for member in members:
        settings = member.settings
        what = f"{counted(settings.epochs, 'epoch')}, batch size {settings.batch_size or 'default'}"
        print_line(f"[{member.number}/{len(sweep.members)}] {member.label}: {what}, {member.status}")
    epochs = sum(member.settings.epochs for member in members)
    print_line(f"{counted(len(members), 'member')}, {counted(epochs, 'epoch')} in total")


def report(sweep) -> None:
    """Print and write the table, write the comparison page, and fail if a member failed."""
    table = sweeps.rows(sweep)
    sweeps.write_csv(sweep, table)
    print_table(sweep, table)
    if paths := [member.run for member in sweep.members if member.run]:
        print_line(f"page: {comparison_page.write(paths, sweep.path / comparison_page.COMPARISON_FILE)}")
    for note in sweeps.notes(sweep):
        print_line(f"NOTE: {note}")
    failed = [member for member in sweep.members if not member.is_finished]
    if failed:
        lines = [f"{member.number} {member.label}: {member.error}" for member in failed]
        head = f"{len(failed)} of {len(sweep.members)} members failed; {sweeps.resume_command(sweep)}"
        cli.fail(head, 1, *lines)


def print_table(sweep, table) -> None:
    """Print means and standard deviations over seeds of the losses and scores in the last epoch."""
    shown = columns(table)
    lines = [[*sweep.grid, "finished", *shown]]
    for row in table:
        quantities = [cell(row.quantities.get(name)) for name in shown]
        lines.append([*map(str, row.values.values()), f"{row.finished}/{row.members}", *quantities])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print_line("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    print_line(f"last epoch, mean ± standard deviation over seeds; all columns in {sweep.path / CSV_FILE}")


def columns(table) -> list[str]:
    """Return the printed columns: the loss on validation (or else training) images, and all scores.

    For a GAN these are the losses of both networks, for a WGAN the estimated Wasserstein distance.
    """
    names = list(dict.fromkeys(name for row in table for name in row.quantities))
    losses = [["val_loss"], ["loss"], ["val_d_loss", "val_g_loss"], ["d_loss", "g_loss"], ["val_emd"], ["emd"]]
    present = next((choice for choice in losses if set(choice) <= set(names)), [])
    scores = dict.fromkeys(name for row in table for name in row.scores)
    return present + list(scores)


def cell(quantity) -> str:
    """Return a quantity as text."""
    if quantity is None:
        return "-"
    return f"{quantity.mean:.5g}" + ("" if quantity.deviation is None else f" ± {quantity.deviation:.2g}")
