"""Protocols of scores: everything that a score depends on besides the model. Only equal protocols are comparable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

Protocol = Mapping[str, str | int | float | bool | None]
"""Names and values of everything that a score depends on besides the weights of the model."""


def fingerprint(protocol: Protocol) -> str:
    """Return 16 hexadecimal digits that identify a protocol. Scores are comparable only if these are equal.

    Example:
        >>> fingerprint({"metric": "fid", "generated": 1000}) == fingerprint({"generated": 1000, "metric": "fid"})
        True
    """
    canonical = json.dumps(dict(protocol), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def differences(protocols: Sequence[Protocol], ignore: Sequence[str] = ()) -> dict[str, list]:
    """Return the entries in which protocols differ: a dict from name to a list of values, None if missing.

    Args:
        protocols: sequence of at least one protocol.
        ignore: sequence of str, names of entries that may differ. Defaults to none.

    Example:
        >>> differences([{"generated": 1000, "seed": 0}, {"generated": 10000, "seed": 0}])
        {'generated': [1000, 10000]}
    """
    names = dict.fromkeys(name for protocol in protocols for name in protocol)
    values = {name: [protocol.get(name) for protocol in protocols] for name in names if name not in ignore}
    return {name: entries for name, entries in values.items() if any(value != entries[0] for value in entries)}


def common(protocols: Sequence[Protocol]) -> Protocol:
    """Return the entries that all protocols have, with the same value.

    Example:
        >>> common([{"generated": 1000, "seed": 0}, {"generated": 10000, "seed": 0, "rank": None}])
        {'seed': 0}
    """
    first = protocols[0] if protocols else {}
    return {name: value for name, value in first.items() if all(each.get(name, ...) == value for each in protocols)}
