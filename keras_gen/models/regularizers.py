"""Penalties on the slope of a discriminator or critic, for the argument `regularizers` of adversarial models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import distribution, losses
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be, suggestion


@dataclass(frozen=True)
class Regularizer:
    """Base class of penalties per image, which are added to the discriminator's loss.

    Args:
        weight: float, factor of the penalty in the loss, above 0.

    Raises:
        UsageError: the weight is out of range.
    """

    weight: float

    name = "regularizer"
    """Name of the tracked penalty, without its weight."""

    def __post_init__(self):
        object.__setattr__(self, "weight", checks.positive(f"weight of {type(self).__name__}", self.weight))

    def penalty(
        self, discriminate: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, fake: tf.Tensor, key: tf.Tensor
    ) -> tf.Tensor:
        """Return the penalty of each pair of images, `(n,)`, before its weight.

        Args:
            discriminate: callable from images to logits or scores, `(n, 1)`.
            real, fake: real and generated images, as many of each.
            key: random key.
        """
        raise NotImplementedError

    def get_config(self) -> dict:
        """Return the constructor arguments."""
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config: dict) -> Regularizer:
        """Create a regularizer from the result of `get_config`."""
        return cls(**config)


@keras.saving.register_keras_serializable("keras_gen")
@dataclass(frozen=True)
class GradientPenalty(Regularizer):
    """Penalty (‖∇D(x̂)‖₂ − 1)² at random interpolates x̂ of real and generated images; see `losses.gradient_penalty`.

    Args:
        weight: float, λ. Defaults to 10.

    Example:
        >>> keras_gen.zoo.build("wgan-gp", width=8).penalties
        (GradientPenalty(weight=10.0),)
    """

    weight: float = 10.0

    name = "gradient_penalty"

    def penalty(self, discriminate, real, fake, key):
        """Return the penalty; see `Regularizer.penalty`."""
        mixing = distribution.uniform((tf.shape(real)[0], 1, 1, 1), key)
        return losses.gradient_penalty(discriminate, real, fake, mixing)


@keras.saving.register_keras_serializable("keras_gen")
@dataclass(frozen=True)
class R1(Regularizer):
    """Penalty ½ ‖∇D(x)‖₂² at real images x (Mescheder et al. 2018); see `losses.squared_gradient_norm`.

    Args:
        weight: float, γ. Defaults to 10.
    """

    weight: float = 10.0

    name = "r1"

    def penalty(self, discriminate, real, fake, key):
        """Return the penalty; see `Regularizer.penalty`."""
        return 0.5 * losses.squared_gradient_norm(discriminate, real)


@keras.saving.register_keras_serializable("keras_gen")
@dataclass(frozen=True)
class R2(Regularizer):
    """Penalty ½ ‖∇D(G(z))‖₂² at generated images, otherwise as `R1`.

    Args:
        weight: float, γ. Defaults to 10.
    """

    weight: float = 10.0

    name = "r2"

    def penalty(self, discriminate, real, fake, key):
        """Return the penalty; see `Regularizer.penalty`."""
        return 0.5 * losses.squared_gradient_norm(discriminate, fake)


KINDS = {kind.name: kind for kind in (GradientPenalty, R1, R2)}
"""Regularizers by the names that a command line has for them. To add one, add an entry."""


def check(argument: str, value: object) -> tuple[Regularizer, ...]:
    """Return a sequence of regularizers with different names, or their description as text, as a tuple.

    Args:
        argument: str, name of the argument in error messages.
        value: sequence of `Regularizer`, or names of `KINDS` separated by commas, each with its weight after a colon if
            that is not the default.

    Raises:
        UsageError: `value` is anything else.

    Example:
        >>> check("regularizers", "r1:0.5,gradient_penalty")
        (R1(weight=0.5), GradientPenalty(weight=10.0))
    """
    if isinstance(value, str):
        entries = tuple(_parse(argument, value, word.strip()) for word in value.split(",") if value)
    else:
        entries = tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(entry, Regularizer) for entry in entries):
        raise must_be(argument, "a list of objects such as keras_gen.models.regularizers.R1(10.0)", value)
    if len({entry.name for entry in entries}) < len(entries):
        raise must_be(argument, "a list of different regularizers", value)
    return entries


def _parse(argument: str, text: str, word: str) -> Regularizer:
    name, colon, weight = word.partition(":")
    if name not in KINDS or (colon and not weight):
        requirement = f"names among {', '.join(KINDS)}, separated by commas, such as r1:0.5,r2:0.5"
        raise UsageError(f"{must_be(argument, requirement, text)}{suggestion(name, KINDS)}")
    try:
        return KINDS[name](float(weight)) if colon else KINDS[name]()
    except ValueError as error:  # no number, or out of range
        raise must_be(argument, f"{name} with a weight above 0", text) from error
