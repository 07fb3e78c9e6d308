"""What a number depends on besides the model: kept with every score, so that unlike ones are never compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

Protocol = Mapping[str, str | int | float | bool | None]
"""Names and values of everything that a score depends on besides the model's weights."""


def fingerprint(protocol: Protocol) -> str:
    """A short name of a protocol, 16 hexadecimal digits: scores are comparable if and only if theirs are equal.

    Example:
        >>> fingerprint({"metric": "fid", "generated": 1000}) == fingerprint({"generated": 1000, "metric": "fid"})
        True
    """
    canonical = json.dumps(dict(protocol), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def differences(protocols: Sequence[Protocol], ignore: Sequence[str] = ()) -> dict[str, list]:
    """The entries in which protocols differ: name to one value a protocol, None where it has none.

    Args:
        protocols: at least one.
        ignore: names of entries that may differ.

    Example:
        >>> differences([{"generated": 1000, "seed": 0}, {"generated": 10000, "seed": 0}])
        {'generated': [1000, 10000]}
    """
    names = dict.fromkeys(name for protocol in protocols for name in protocol)
    values = {name: [protocol.get(name) for protocol in protocols] for name in names if name not in ignore}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}
