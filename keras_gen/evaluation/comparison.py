"""Compare the scores of evaluated runs; they are ranked only where their protocols are the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from keras_gen.evaluation import Score, protocol, results
from keras_gen.utils.errors import UsageError, must_be


@dataclass(frozen=True)
class Row:
    """One score of several runs.

    Args:
        name: str, name of the score.
        scores: list, the `Score` of each run, or None if it was not measured.
        ranks: list, the rank of each run, 1 for the best, equal for ties, or None if it was not measured. Empty if the
            runs are not ranked.
        differences: dict, the protocol entries that differ and prevent a ranking, each with a list of the runs' values
            (None if missing).
    """

    name: str
    scores: list[Score | None]
    ranks: list[int | None]
    differences: dict[str, list]


def compare(paths: Sequence[str | os.PathLike], ignore: Sequence[str] = ()) -> list[Row]:
    """Return the scores of evaluated runs, in the order of the first run that has them.

    Runs are ranked by a score if a lower or higher value is better, at least two runs have it, and all of these used
    the same protocol.

    Args:
        paths: sequence of at least two run directories.
        ignore: sequence of str, protocol entries that may differ, such as `moving_average`. Whether such scores are
            comparable is up to the caller. Defaults to none.

    Returns:
        A list of `Row`, one per score.

    Raises:
        UsageError: if there are fewer than two runs, a run was not evaluated, or no protocol has a name in `ignore`.
    """
    if len(paths) < 2:
        raise must_be("runs", "at least two run directories", [str(path) for path in paths])
    measured = [{score.name: score for score in results.read(path).scores} for path in paths]
    known = {name for scores in measured for score in scores.values() for name in score.protocol}
    for name in ignore:
        if name not in known:
            raise UsageError(f"ignore must name entries of a protocol ({', '.join(sorted(known))}), received: {name!r}")
    names = dict.fromkeys(name for scores in measured for name in scores)
    return [_row(name, [scores.get(name) for scores in measured], ignore) for name in names]


def _row(name: str, scores: list[Score | None], ignore: Sequence[str]) -> Row:
    present = [score for score in scores if score is not None]
    differences = {
        entry: [None if score is None else score.protocol.get(entry) for score in scores]
        for entry in protocol.differences([score.protocol for score in present], ignore)
    }
    better = present[0].better
    if differences or better is None or len(present) < 2:
        return Row(name, scores, [], differences)
    sign = 1 if better == "low" else -1
    values = [sign * score.value for score in present]
    ranks = [None if score is None else 1 + sum(value < sign * score.value for value in values) for score in scores]
    return Row(name, scores, ranks, differences)
