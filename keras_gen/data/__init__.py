"""Load image data sets from any source, and batch them for training.

Names are imported on first use, and so is the library that reads a source.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "catalog": ["DatasetSpec", "image_shape", "names", "register"],
        "image_data": ["ImageData", "Split"],
        "loading": ["DATA_DIR_VARIABLE", "from_arrays", "load"],
        "pipeline": ["Batches", "batches", "evaluation_batches"],
    },
)
