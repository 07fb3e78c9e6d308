"""What several recipes are built with. No Keras until it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_gen import checks
from keras_gen.errors import must_be

if TYPE_CHECKING:
    import keras

CONSTRAINTS = ("gradient_penalty", "weight_clipping", "none")
"""What may bound the slope of a critic."""

MAX_DEPTH = 5


def adam(learning_rate: float, beta_1: float = 0.9, beta_2: float = 0.999) -> keras.optimizers.Adam:
    """Adam with checked arguments."""
    import keras_gen.backend  # noqa: F401
    import keras

    learning_rate = checks.positive("learning_rate", learning_rate)
    beta_1, beta_2 = checks.fraction("beta_1", beta_1), checks.fraction("beta_2", beta_2)
    return keras.optimizers.Adam(learning_rate, beta_1=beta_1, beta_2=beta_2)


def critic_optimizers(constraint: str, learning_rate: float | None, penalty_learning_rate: float) -> list:
    """The generator's and the critic's optimizer for a constraint on the critic.

    With weight clipping RMSprop, 5e-5, as in Arjovsky et al. 2017, which advises against momentum; else Adam with β₁
    0.5 and β₂ 0.9.

    Args:
        constraint: one of `CONSTRAINTS`.
        learning_rate: of both; None is the constraint's own.
        penalty_learning_rate: what that is without clipping.
    """
    import keras_gen.backend  # noqa: F401
    import keras

    if checks.one_of("constraint", constraint, CONSTRAINTS) == "weight_clipping":
        rate = checks.positive("learning_rate", 5e-5 if learning_rate is None else learning_rate)
        return [keras.optimizers.RMSprop(rate) for _ in range(2)]
    return [adam(penalty_learning_rate if learning_rate is None else learning_rate, 0.5, 0.9) for _ in range(2)]


def critic_constraint(constraint: str) -> dict[str, float]:
    """The constraint as arguments of `WGAN`: a penalty of weight 10, or clipping at 0.01, or neither."""
    return {
        "gradient_penalty": 10.0 if constraint == "gradient_penalty" else 0.0,
        "weight_clip": 0.01 if constraint == "weight_clipping" else 0.0,
    }


def widths(depth: int, first: int = 32, largest: int = 128) -> tuple[int, ...]:
    """Filters of `depth` convolutions, 1 to 5, from the image inwards: doubling from `first` up to `largest`."""
    if checks.positive_int("depth", depth) > MAX_DEPTH:
        raise must_be("depth", f"an integer from 1 to {MAX_DEPTH}", depth)
    return tuple(min(first * 2**level, largest) for level in range(depth))
