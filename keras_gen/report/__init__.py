"""Report of a run: figures drawn from arrays and history rows, HTML pages, and the explorer.

Functions that draw return a matplotlib figure, unknown to pyplot; save it with `save_figure`. All functions
raise `UsageError` for an argument of another type, shape or range than documented.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "figures.animation": ["animate", "animate_samples"],
        "figures.curves": ["loss_curves", "metric_curves"],
        "figures.embedding": ["Embedding", "pca", "tsne"],
        "figures.image_figures": [
            "denoising",
            "nearest_neighbors",
            "reconstructions",
            "sample_grid",
            "samples_through_training",
        ],
        "figures.latent_figures": ["interpolations", "manifold", "traversals"],
        "figures.scatter": ["embedding_figure", "scatter"],
        "figures.style": ["save_figure"],
    },
)
