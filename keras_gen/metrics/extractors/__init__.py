"""Feature extractors: compute from uint8 images the features and logits that metrics compare.

A score carries the name of its extractor and is comparable only with scores of that extractor. Names are imported when
they are first used, TensorFlow when an extractor is built.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["Extractor", "Features", "as_images"],
        "classifiers": ["ShippedClassifier"],
        "inception_2015": ["Inception2015"],
        "inception_v3": ["InceptionV3"],
        "names": ["AUTO", "NAMES", "check_choice"],
        "registry": ["ExtractorChoice", "as_extractor", "build", "check_supports", "choose", "pick"],
        "weight_files": ["cache_folder"],
    },
)
