"""Metrics of generated images: formulas on arrays of features and logits, one file per metric.

Files are not named like their functions, which the package exports. Every function raises `UsageError` if an array has
the wrong shape, too few rows or a value that is not finite, or if another argument is not as described.

Names are imported when they are first used. No formula imports TensorFlow: `keras_gen.metrics.extractors` computes
features and logits from images.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["extractors"],
    submod_attrs={
        "data_copying": ["Memorization", "memorization"],
        "frechet": ["GaussianStatistics", "fid", "frechet_distance"],
        "frechet_infinity": ["FIDInfinity", "fid_infinity"],
        "importance_sampling": ["effective_sample_size", "log_likelihood_bound"],
        "inception": ["InceptionScore", "inception_score"],
        "latent_units": ["ActiveUnits", "active_units"],
        "manifold_overlap": ["PrecisionRecall", "precision_recall"],
        "modes": ["ModeCoverage", "confident_share", "mode_coverage"],
        "polynomial_mmd": ["KID", "kid"],
        "reconstruction": ["ReconstructionError", "reconstruction_error"],
    },
)
