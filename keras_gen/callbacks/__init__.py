"""Callbacks of a run. They work in any `fit` of a keras_gen model."""

from keras_gen.callbacks.checkpoint import Checkpoint
from keras_gen.callbacks.fid import FID
from keras_gen.callbacks.grids import ReconstructionGrid, SampleGrid
from keras_gen.callbacks.history import HistoryCSV

__all__ = ["FID", "Checkpoint", "HistoryCSV", "ReconstructionGrid", "SampleGrid"]
