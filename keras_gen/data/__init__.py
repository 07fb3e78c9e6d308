"""Image data sets from any source, and the order in which training reads them.

Names are imported when they are first used, and the library that reads a source when the source is read.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "catalog": ["DatasetSpec", "image_shape", "names"],
        "image_data": ["ImageData", "Split"],
        "loading": ["DATA_DIR_VARIABLE", "load"],
        "pipeline": ["Batches", "batches", "evaluation_batches"],
    },
)
