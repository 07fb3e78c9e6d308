"""What exactly a recipe built, as flat JSON, so that a recipe that has changed since can be said to have."""

from __future__ import annotations

import json
from collections.abc import Iterator

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
from keras_gen.models import ImageModel

# Names that Keras counts up in a process, and what refers to layers by them; where classes are defined; shapes, which
# follow from the rest.
_IGNORED = frozenset(
    {
        *("name", "keras_history", "input_layers", "output_layers"),
        *("module", "registered_name"),
        *("build_config", "inbound_nodes", "shared_object_id"),
    }
)


def of(model: ImageModel) -> dict[str, object]:
    """Constructor and compile arguments of a compiled model, networks and optimizers with all of theirs, by path.

    Example:
        >>> configuration = of(keras_gen.zoo.build("vae-mlp"))
        >>> configuration["encoder/layers/2/units"], configuration["optimizer/learning_rate"]
        (300, 0.004999999888241291)
    """
    content = {"class": type(model).__name__, **model.get_config(), **model.get_compile_config()}
    return dict(_leaves(json.loads(json.dumps(content, default=str)), ""))


def changes(then: object, now: dict[str, object]) -> list[str]:
    """What differs between a recorded configuration and one of now, an entry each, in the order of now."""
    if not isinstance(then, dict):
        return []
    names = [*now, *(name for name in then if name not in now)]
    missing = "nothing"
    pairs = ((name, then.get(name, missing), now.get(name, missing)) for name in names)
    return [f"{name}: {old} then, {new} now" for name, old, new in pairs if old != new]


def _leaves(content, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(content, dict):
        pairs = [(key, value) for key, value in content.items() if key not in _IGNORED]
    elif isinstance(content, list) and any(isinstance(entry, dict | list) for entry in content):
        pairs = [(str(index), value) for index, value in enumerate(content)]
    else:
        yield path, content
        return
    for key, value in pairs:
        # `config` is in every path, and says nothing.
        yield from _leaves(value, path if key == "config" else f"{path}/{key}".lstrip("/"))
