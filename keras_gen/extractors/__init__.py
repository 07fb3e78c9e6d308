"""Feature extractors: from uint8 images to the features and logits that metrics compare.

Every score carries its extractor's name, and compares with scores of that extractor only. Names are imported when they
are used, TensorFlow when an extractor is built.
"""

from keras_gen import lazy

_MODULE_OF = {
    "AUTO": "naming",
    "NAMES": "naming",
    "Choice": "choosing",
    "Extractor": "extractor",
    "Features": "extractor",
    "Inception2015": "inception_2015",
    "InceptionV3": "inception_v3",
    "ShippedClassifier": "classifiers",
    "as_images": "extractor",
    "build": "choosing",
    "cache_folder": "weights",
    "check_choice": "naming",
    "check_precision": "reduced_precision",
    "choose": "choosing",
    "pick": "choosing",
}

__all__ = list(_MODULE_OF)
__getattr__, __dir__ = lazy.attributes(__name__, _MODULE_OF)
