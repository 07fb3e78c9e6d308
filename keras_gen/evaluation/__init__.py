"""Scores of images and models, each with the protocol by which it was measured."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison": ["compare"],
        "evaluator": ["EvaluationSettings", "evaluate"],
        "measures": ["MEASURES"],
        "reference": ["Reference"],
        "score": ["Score", "score_name"],
        "scorer": ["Scorer"],
    },
)
