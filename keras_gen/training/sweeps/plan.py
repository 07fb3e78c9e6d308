"""The plan of a sweep: settings of every member, resolved before any of them is trained.

A plan is a grid of one recipe's settings, or a list of runs.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from keras_gen import zoo
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be, suggestion

MAX_MEMBERS = 10_000
_NOT_IN_GRID = ("model", "overrides", "seed")


@dataclass(frozen=True)
class Plan:
    """A recipe, fixed values, and a grid of values; each combination of the grid is trained with each seed.

    Names are fields of `RunSettings` (`epochs`, `batch_size`, `dataset`, …) or parameters of the recipe.

    Args:
        model: str. Name or alias of a recipe; stored as the name.
        fixed: dict. Values shared by all members, by name. Defaults to none.
        grid: dict. Sequences of values, by name. The members are their product; the last name varies fastest.
            Defaults to none.
        seeds: int. Number of seeds each combination is trained with: 0, 1, …, seeds - 1. Defaults to 1.

    Raises:
        UsageError: A name is unknown or both fixed and in the grid, `RunSettings` rejects a value, two members would
            be the same run, or there are more than 10,000 members.

    Example:
        >>> plan = Plan("vae-mlp", {"epochs": 5}, {"latent_dim": [2, 16], "batch_size": [64]}, seeds=2)
        >>> [(settings.overrides["latent_dim"], settings.seed) for settings in plan.settings]
        [(2, 0), (2, 1), (16, 0), (16, 1)]
        >>> Plan("vae-mlp", {"epoch": 5})
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: vae-mlp has no setting or parameter 'epoch', did you mean 'epochs'?
    """

    model: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    grid: Mapping[str, Sequence[object]] = field(default_factory=dict)
    seeds: int = 1
    settings: tuple[RunSettings, ...] = field(init=False, repr=False)
    """Settings of every member, in the order of training; seeds vary fastest."""

    def __post_init__(self):
        object.__setattr__(self, "model", zoo.get(self.model).name)
        for name in (*self.fixed, *self.grid):
            _parameter(self.model, name)
        for name, values in self.grid.items():
            if name in self.fixed:
                raise UsageError(f"{name} is given twice: as one value and in the grid")
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise must_be(name, "a list of values in the grid", values)
        count = math.prod(map(len, self.grid.values())) * checks.positive_int("seeds", self.seeds)
        if count > MAX_MEMBERS:
            raise UsageError(f"grid must have at most {MAX_MEMBERS:,} members with its seeds, received: {count:,}")
        settings = tuple(self._settings(values, seed) for values in self.combinations for seed in range(self.seeds))
        if _duplicate(settings) is not None:
            raise must_be("grid", "values that give each member its own settings", self.grid)
        object.__setattr__(self, "settings", settings)

    @classmethod
    def parse(cls, model: str, fixed: Sequence[str], grid: Sequence[str], seeds: int = 1) -> Plan:
        """Return the plan described by words of a command line.

        Args:
            model: str. As in `Plan`.
            fixed: sequence of str, `NAME=VALUE` words.
            grid: sequence of str, `NAME=VALUE,VALUE` words.
            seeds: int. As in `Plan`. Defaults to 1.

        Raises:
            UsageError: A word has another form, a name is given twice, a value has the wrong type; and as in `Plan`.

        Example:
            >>> Plan.parse("vae-mlp", ["epochs=5"], ["beta=1,4"]).grid
            {'beta': [1.0, 4.0]}
        """
        model = zoo.get(model).name
        one = {name: _parameter(model, name).parse(text) for name, text in _pairs("--set", "name=value", fixed)}
        several = {
            name: [_parameter(model, name).parse(word) for word in text.split(",")]
            for name, text in _pairs("--grid", "name=value,value", grid)
        }
        return cls(model, one, several, seeds)

    @property
    def name(self) -> str:
        """Name of the sweep directory."""
        return self.model

    @property
    def values(self) -> list[dict[str, object]]:
        """Values of the grid's names, for every member."""
        return [values for values in self.combinations for _ in range(self.seeds)]

    @property
    def combinations(self) -> list[dict[str, object]]:
        """Every combination of the grid's values, as a dict by name."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    def _settings(self, values: Mapping[str, object], seed: int) -> RunSettings:
        named = {**self.fixed, **values}
        known = _settings_parameters()
        return RunSettings(
            self.model,
            overrides={name: value for name, value in named.items() if name not in known},
            seed=seed,
            **{name: value for name, value in named.items() if name in known},
        )


@dataclass(frozen=True)
class RunList:
    """Runs that are trained one after the other, of any recipes and settings.

    Args:
        labels: sequence of str. What each run is, without its seed; runs that differ in nothing else share a label, and
            a row of the results.
        settings: sequence of RunSettings, one for each label.
        name: str. Name of the sweep directory. Defaults to `"runs"`.

    Raises:
        UsageError: There are no runs, or two are the same.
    """

    labels: Sequence[str]
    settings: Sequence[RunSettings]
    name: str = "runs"
    grid: ClassVar[Sequence[str]] = ("run",)

    def __post_init__(self):
        if not self.settings:
            raise must_be("runs", "a list of at least one run", [])
        if (index := _duplicate(self.settings)) is not None:
            again = f"{self.labels[index]} seed={self.settings[index].seed}"
            raise UsageError(f"runs must differ, but this one appears twice: {again}")

    @property
    def values(self) -> list[dict[str, object]]:
        """The label of every member."""
        return [{"run": label} for label in self.labels]


def _duplicate(settings: Sequence[RunSettings]) -> int | None:
    """Return the index of the first settings that equal earlier ones, or None."""
    seen = set()
    for index, each in enumerate(settings):
        if (text := json.dumps(each.to_json() | {"overrides": each.arguments()}, sort_keys=True)) in seen:
            return index
        seen.add(text)
    return None


def _pairs(option: str, form: str, words: Sequence[str]) -> list[tuple[str, str]]:
    """Split `name=text` words; every name must be unique."""
    pairs = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise must_be(option, form, word)
        if name in pairs:
            raise UsageError(f"{name} is given twice: {option} {name}={pairs[name]} and {option} {word}")
        pairs[name] = text
    return list(pairs.items())


def _parameter(model: str, name: str) -> zoo.Parameter:
    """Return the setting or recipe parameter of that name."""
    known = {**zoo.get(model).parameters, **_settings_parameters()}
    if name in known:
        return known[name]
    if name in _NOT_IN_GRID:
        how = {"model": "--model", "seed": "--seeds", "overrides": "their own names"}[name]
        raise UsageError(f"{name} can't be a value of a sweep: use {how}")
    hint = suggestion(name, known) or f" (known: {', '.join(known)})"
    raise UsageError(f"{model} has no setting or parameter {name!r}{hint}")


def _settings_parameters() -> dict[str, zoo.Parameter]:
    """Return the fields of `RunSettings` as parameters, so that they are parsed like a recipe's."""
    hints = typing.get_type_hints(RunSettings)
    parameters = {}
    for entry in dataclasses.fields(RunSettings):
        if entry.name not in _NOT_IN_GRID:
            kinds = typing.get_args(hints[entry.name]) or (hints[entry.name],)
            *_, kind = (kind for kind in kinds if kind is not types.NoneType)  # of int | str, str
            parameters[entry.name] = zoo.Parameter(entry.name, kind, entry.default, types.NoneType in kinds)
    return parameters
