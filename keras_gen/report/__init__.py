"""Figures of a run."""

from keras_gen.report.curves import loss_curves, save_figure

__all__ = ["loss_curves", "save_figure"]
