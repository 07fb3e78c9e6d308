"""Score generated images during training and add the scores to the logs."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np

from keras_gen.evaluation import Reference, Score, Scorer
from keras_gen.metrics.extractors import Extractor
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError
from keras_gen.utils.progress import print_line


class Scores(keras.callbacks.Callback):
    """Score generated images against real images every few epochs.

    At the end of epochs `every`, `2 * every`, … (counted from 1) the model generates `num_images` images from the same
    `seed`, so that the scores of a run differ only by the weights. Each score is added to the `logs` of the epoch under
    its name, which includes the extractor (`fd_lenet`; `fid` means `inception-2015`), together with `NAME_images`, the
    number of generated images. The logs of other epochs are unchanged. ModelCheckpoint, EarlyStopping, CSVLogger and
    TensorBoard see the scores if they come after this callback. Two of them need `every=1`: with `save_best_only`,
    ModelCheckpoint also saves after an epoch without the score, and CSVLogger has only the columns of the first epoch.
    One line is printed. No random state is read or changed.

    Args:
        reference: `keras_gen.evaluation.Reference`, or uint8 array of real images `(N, H, W, 1 or 3)`.
        measures: tuple of str. Names in `keras_gen.evaluation.MEASURES`. Defaults to `("fid",)`.
        every: int. Epochs between two scores. Defaults to 10.
        num_images: int. Number of generated images, at least 2. Scores of different numbers can't be compared: FID
            decreases as the number grows. Defaults to 1000.
        extractor: Extractor or str. The feature extractor or its name (`"lenet"` for digits); required if `reference`
            is an array of images.
        seed: int. Seed of the generated images. Defaults to 0.

    Raises:
        UsageError: An argument is not as above.

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
            raise UsageError("extractor must be given if reference is images, such as extractor='lenet'")
        else:
            reference = Reference(reference, extractor)
        self.every = checks.positive_int("every", every)
        self.seed = checks.seed("seed", seed)
        self.scorer = Scorer(reference, measures, num_images=num_images)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Score the generated images, if scores are due."""
        if (epoch + 1) % self.every:
            return
        # Keras' progress bar leaves the cursor at its end, and the progress of scoring would overwrite it.
        if self.params and self.params.get("verbose") in (1, "auto"):
            print_line()
        try:
            scores = self.score()
        except UsageError as error:  # such as a diverged model: training continues without the score
            print_line(f"NOTE: no score after epoch {epoch + 1}: {error}")
            return
        if logs is not None:
            for score in scores:
                logs[score.name] = score.value
                logs[f"{score.name}_images"] = self.scorer.num_images
        reference = self.scorer.reference
        numbers = ", ".join(_shown(score) for score in scores)
        against = f"{self.scorer.num_images:,} generated against {reference.count:,} {reference.split} images"
        print_line(f"{numbers} ({against})")

    def score(self) -> list[Score]:
        """Return the scores of the current model. The features of real images are computed on the first call only."""
        return self.scorer.score(self.model, self.seed)


def _shown(score: Score) -> str:
    bias = "" if score.bias is None else f", of which about {max(score.bias, 0.0):.2g} is sample-size bias"
    return f"{score.name} {score.value:.4g}{bias}"


class OneMeasure(Scores):
    """`Scores` of the measure with the name `measure`."""

    measure: str

    def __init__(self, reference, every: int = 10, num_images: int = 1000, **options) -> None:
        super().__init__(reference, (self.measure,), every, num_images, **options)


class FID(OneMeasure):
    """`Scores` of one measure, the Fréchet distance (Heusel et al. 2017): `FID(reference, every=10, num_images=1000)`.

    Example:
        >>> digits = keras_gen.data.load("digits").train.images
        >>> score = keras_gen.callbacks.FID(digits, every=1, num_images=500, extractor="lenet")
        >>> best = keras.callbacks.ModelCheckpoint("best.keras", monitor="fd_lenet", mode="min", save_best_only=True)
        >>> history = keras_gen.zoo.build("gan-mlp").fit(digits, epochs=2, callbacks=[score, best], verbose=0)
        fd_lenet ... (500 generated against 1,375 train images)
        fd_lenet ... (500 generated against 1,375 train images)
    """

    measure = "fid"


class KID(OneMeasure):
    """`Scores` of one measure, the kernel distance (Bińkowski et al. 2018); arguments as in `FID`."""

    measure = "kid"


class InceptionScore(OneMeasure):
    """`Scores` of one measure, the Inception Score (Salimans et al. 2016); arguments as in `FID`."""

    measure = "inception_score"


class PrecisionRecall(OneMeasure):
    """`Scores` of one measure: precision, recall, density and coverage; arguments as in `FID`."""

    measure = "precision_recall"
