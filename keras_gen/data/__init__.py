"""Image data sets, whatever they come from, and the order in which training sees them.

Importing this package costs nothing: names are imported when they are used, the libraries that read a source when it
is read.
"""

from keras_gen import lazy

_MODULE_OF = {
    "DATA_DIR_VARIABLE": "loading",
    "Batches": "pipeline",
    "Entry": "catalog",
    "ImageData": "image_data",
    "Split": "image_data",
    "batches": "pipeline",
    "evaluation_batches": "pipeline",
    "image_shape": "catalog",
    "load": "loading",
    "names": "catalog",
}

__all__ = list(_MODULE_OF)
__getattr__, __dir__ = lazy.attributes(__name__, _MODULE_OF)
