"""The record of a report that was made again: what its page is rendered from."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_gen.publishing.reports.registry import NAMES
from keras_gen.utils import checks, safe_files
from keras_gen.utils.errors import UsageError, must_be

RECORD_FILE = "report.json"


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        header: sequence of str, one for each column.
        rows: sequence of rows of str.
        caption: str, what it shows. Defaults to nothing.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class ReportRecord:
    """What was found when a report was made again.

    Args:
        name: str, name of the report, such as `R1`.
        quick: bool, whether it is the quick version, on `digits`.
        minutes: float, minutes of all its trainings together.
        machine: str, the machines that trained.
        trainings: Table, the trainings with their commands.
        values: mapping, numbers by name, for the text.
        tables: mapping of names to Table.
        pictures: sequence of names of its pictures, PNG files beside the record, without their suffix. Figures may
            have a `dark_picture` as well.
    """

    name: str
    quick: bool
    minutes: float
    machine: str
    trainings: Table
    values: Mapping[str, object]
    tables: Mapping[str, Table]
    pictures: Sequence[str]

    def to_json(self) -> dict:
        """Return the record as a JSON-serializable dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict) -> ReportRecord:
        """Restore a record from `to_json`. Raises KeyError, TypeError or ValueError for another dict."""
        tables = {name: Table(**table) for name, table in content["tables"].items()}
        record = cls(**content | {"trainings": Table(**content["trainings"]), "tables": tables})
        checks.one_of("report", record.name, NAMES)
        return record


def dark_picture(path: Path) -> Path:
    """Return the path of the version of a picture for dark screens."""
    return path.with_stem(f"{path.stem}-dark")


def read(folder: str | os.PathLike) -> ReportRecord:
    """Read the record in a folder.

    Raises:
        UsageError: the folder has none, or it is damaged.
    """
    file = Path(folder) / RECORD_FILE
    try:
        return ReportRecord.from_json(safe_files.read_json(file))
    except OSError as error:
        raise must_be("folder", f"a folder with {RECORD_FILE}", str(folder)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"{file} is damaged, or from another version of keras_gen: {error!r}") from error
