"""A model's complete configuration as flat JSON, to detect that a recipe has changed since a run was started."""

from __future__ import annotations

import json
from collections.abc import Iterator

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
from keras_gen.models import ImageModel

# Names that Keras numbers within a process, and references to them; modules of classes; shapes, which follow from the
# other entries.
_IGNORED = frozenset(
    {
        *("name", "keras_history", "input_layers", "output_layers"),
        *("module", "registered_name"),
        *("build_config", "inbound_nodes", "shared_object_id"),
        "updates",  # of a learning rate's decay, which follow from the number of epochs
    }
)

_ADDED = {"augment": "", "discriminator_steps": 1, "importance_samples": 1, "kl_warmup": 0, "regularizers": []}
"""Arguments that the configurations of older runs lack, with the values that mean the same."""


def of(model: ImageModel) -> dict[str, object]:
    """Return the constructor and compile arguments of a compiled model, its networks and optimizers, by path.

    Example:
        >>> configuration = of(keras_gen.zoo.build("vae-mlp"))
        >>> configuration["encoder/layers/2/units"], configuration["optimizer/learning_rate"]
        (300, 0.004999999888241291)
    """
    content = {"class": type(model).__name__, **model.get_config(), **model.get_compile_config()}
    return dict(_leaves(json.loads(json.dumps(content, default=str)), ""))


def changes(then: object, now: dict[str, object], *, same_keras: bool = True) -> list[str]:
    """Return the differences between a recorded configuration and the current one, in the order of `now`.

    Args:
        then: dict, the recorded configuration; anything else yields an empty list.
        now: dict, the current one.
        same_keras: bool, whether the same version of Keras made both. If not, entries that only one of them has are
            left out: they can be options of layers that only one version has. Defaults to True.
    """
    if not isinstance(then, dict):
        return []
    # Not the train steps per call: they change no result, and older runs recorded the recipe's instead of their own.
    names = [name for name in dict.fromkeys([*now, *then]) if name != "steps_per_execution"]
    if not same_keras:
        names = [name for name in names if name in then and name in now]
    pairs = ((name, then.get(name, _ADDED.get(name, "nothing")), now.get(name, "nothing")) for name in names)
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
        # Every path contains `config`: leave it out.
        yield from _leaves(value, path if key == "config" else f"{path}/{key}".lstrip("/"))
