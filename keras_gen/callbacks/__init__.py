"""Keras callbacks for any `fit` of a keras_gen model; every run uses them."""

from keras_gen.callbacks.checkpoint import Checkpoint, ContinueEpoch
from keras_gen.callbacks.health import Health, StopOnDivergence
from keras_gen.callbacks.history import HistoryCSV
from keras_gen.callbacks.image_grids import ReconstructionGrid, SampleGrid
from keras_gen.callbacks.scores import FID, KID, InceptionScore, PrecisionRecall, Scores

__all__ = [
    "FID",
    "KID",
    "Checkpoint",
    "ContinueEpoch",
    "Health",
    "HistoryCSV",
    "InceptionScore",
    "PrecisionRecall",
    "ReconstructionGrid",
    "SampleGrid",
    "Scores",
    "StopOnDivergence",
]
