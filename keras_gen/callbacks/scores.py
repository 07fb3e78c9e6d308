"""Scores of generated images, measured while a model trains and put where other callbacks see them."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np

from keras_gen.evaluation import Reference, Score, Scorer
from keras_gen.metrics.extractors import Extractor
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError


class Scores(keras.callbacks.Callback):
    """Measure generated images against real ones every few epochs.

    At the end of epochs `every`, `2 * every`, … (counted from 1) the model generates `num_images` images, from the same
    `seed` each time, so that scores of one run differ by the weights alone. Those epochs' `logs` gain every score by
    its name, which says the extractor (`fd_lenet`; `fid` is that of `inception-2015` only), and `NAME_images`, how many
    images it was measured on; other epochs' gain nothing. ModelCheckpoint, EarlyStopping, CSVLogger and TensorBoard see
    them if they come after this callback. Two of them need `every=1`: with `save_best_only` ModelCheckpoint saves after
    an epoch without the score, too, and CSVLogger has the columns of the first epoch only. One line is printed. No
    random state is read or changed.

    Args:
        reference: what is compared with: a `keras_gen.evaluation.Reference`, or uint8 images `(N, H, W, 1 or 3)`.
        measures: names of `keras_gen.evaluation.MEASURES`.
        every: epochs from one score to the next.
        num_images: images to generate, at least 2. Scores of different counts do not compare: FID falls as it grows.
        extractor: with images as `reference`, the extractor that looks at them, or its name (`lenet` for digits).
        seed: of the generated images.

    Raises:
        UsageError: an argument is not as above.

    Example:
        >>> digits = keras_gen.data.load("digits").train.images
        >>> score = keras_gen.callbacks.Scores(digits, ("fid", "precision_recall"), every=5, extractor="lenet")
        >>> history = keras_gen.zoo.build("vae-mlp").fit(digits, epochs=10, callbacks=[score], verbose=0).history
        fd_lenet ... (1,000 generated against 1,375 train images)
        fd_lenet ... (1,000 generated against 1,375 train images)
        >>> len(history["fd_lenet"]), history["precision_lenet_images"]
        (2, [1000, 1000])
    """

    def __init__(
        self,
        reference: Reference | np.ndarray,
        measures: tuple[str, ...] = ("fid",),
        every: int = 10,
        num_images: int = 1000,
        *,
        extractor: Extractor | str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if isinstance(reference, Reference):
            if extractor is not None:
                raise UsageError("extractor must be left out with a Reference, which has its own")
        elif extractor is None:
            raise UsageError("extractor must be given with images as reference, such as extractor='lenet'")
        else:
            reference = Reference(reference, extractor)
        self.every = checks.positive_int("every", every)
        self.seed = checks.seed("seed", seed)
        self.scorer = Scorer(reference, measures, num_images=num_images)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Score if it is time for it."""
        if (epoch + 1) % self.every:
            return
        # Keras' bar leaves the cursor behind itself, where the steps of scoring would draw over it.
        if self.params and self.params.get("verbose") in (1, "auto"):
            print(flush=True)
        try:
            scores = self.score()
        except UsageError as error:  # the model diverged, say: no number, but no end of the training either
            print(f"NOTE: no score after epoch {epoch + 1}: {error}", flush=True)
            return
        if logs is not None:
            for score in scores:
                logs[score.name] = score.value
                logs[f"{score.name}_images"] = self.scorer.num_images
        reference = self.scorer.reference
        numbers = ", ".join(_shown(score) for score in scores)
        against = f"{self.scorer.num_images:,} generated against {reference.count:,} {reference.split} images"
        print(f"{numbers} ({against})", flush=True)

    def score(self) -> list[Score]:
        """The scores of the model as it is now. The real images' features are extracted the first time only."""
        return self.scorer.score(self.model, self.seed)


def _shown(score: Score) -> str:
    bias = "" if score.bias is None else f", of which about {max(score.bias, 0.0):.2g} for so few images"
    return f"{score.name} {score.value:.4g}{bias}"


class FID(Scores):
    """`Scores` of one measure, the Fréchet distance (Heusel et al. 2017): `FID(reference, every=10, num_images=1000)`.

    Example:
        >>> digits = keras_gen.data.load("digits").train.images
        >>> score = keras_gen.callbacks.FID(digits, every=1, num_images=500, extractor="lenet")
        >>> best = keras.callbacks.ModelCheckpoint("best.keras", monitor="fd_lenet", mode="min", save_best_only=True)
        >>> history = keras_gen.zoo.build("gan-mlp").fit(digits, epochs=2, callbacks=[score, best], verbose=0)
        fd_lenet ... (500 generated against 1,375 train images)
        fd_lenet ... (500 generated against 1,375 train images)
    """

    def __init__(self, reference, every: int = 10, num_images: int = 1000, **options) -> None:
        super().__init__(reference, ("fid",), every, num_images, **options)


class KID(Scores):
    """`Scores` of one measure, the kernel distance (Bińkowski et al. 2018); arguments as in `FID`."""

    def __init__(self, reference, every: int = 10, num_images: int = 1000, **options) -> None:
        super().__init__(reference, ("kid",), every, num_images, **options)


class InceptionScore(Scores):
    """`Scores` of one measure, the Inception Score (Salimans et al. 2016); arguments as in `FID`."""

    def __init__(self, reference, every: int = 10, num_images: int = 1000, **options) -> None:
        super().__init__(reference, ("inception_score",), every, num_images, **options)


class PrecisionRecall(Scores):
    """`Scores` of one measure: precision, recall, density and coverage; arguments as in `FID`."""

    def __init__(self, reference, every: int = 10, num_images: int = 1000, **options) -> None:
        super().__init__(reference, ("precision_recall",), every, num_images, **options)
