"""Scores of images and models, each with the protocol by which it was measured."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison": ["compare"],
        "evaluator": ["EvaluationSettings", "evaluate"],
        "image_comparison": ["compare_images", "compare_files"],
        "keras_metrics": ["FrechetDistance", "KernelDistance"],
        "measures": ["MEASURES"],
        "reference": ["Reference", "ReferenceStatistics"],
        "score": ["Score", "score_name"],
        "scorer": ["Scorer"],
    },
)
