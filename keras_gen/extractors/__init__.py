"""Feature extractors: from uint8 images to the features and logits that metrics compare.

Every score carries its extractor's name, and compares with scores of that extractor only. TensorFlow is imported when
an extractor is built, not before.
"""

from keras_gen.extractors.choosing import AUTO, NAMES, Choice, build, check_choice, choose, pick
from keras_gen.extractors.classifiers import ShippedClassifier
from keras_gen.extractors.extractor import Extractor, Features, as_images
from keras_gen.extractors.inception_2015 import Inception2015
from keras_gen.extractors.inception_v3 import InceptionV3
from keras_gen.extractors.reduced_precision import check_precision
from keras_gen.extractors.weights import cache_folder

__all__ = [
    "AUTO",
    "NAMES",
    "Choice",
    "Extractor",
    "Features",
    "Inception2015",
    "InceptionV3",
    "ShippedClassifier",
    "as_images",
    "build",
    "cache_folder",
    "check_choice",
    "check_precision",
    "choose",
    "pick",
]
