"""Image data sets, whatever they come from, and the order in which training sees them.

Importing this package costs nothing but NumPy: the libraries that read a source are imported when it is read.
"""

from keras_gen.data.catalog import Entry, image_shape, names
from keras_gen.data.image_data import ImageData, Split
from keras_gen.data.loading import DATA_DIR_VARIABLE, load
from keras_gen.data.pipeline import Batches, batches, evaluation_batches

__all__ = [
    "DATA_DIR_VARIABLE",
    "Batches",
    "Entry",
    "ImageData",
    "Split",
    "batches",
    "evaluation_batches",
    "image_shape",
    "load",
    "names",
]
