"""Numbers that say what they are: metrics of a model's images, each with its protocol."""

from keras_gen.scoring.measures import MEASURES
from keras_gen.scoring.reference import Reference
from keras_gen.scoring.score import Score, score_name
from keras_gen.scoring.scorer import Scorer

__all__ = ["MEASURES", "Reference", "Score", "Scorer", "score_name"]
