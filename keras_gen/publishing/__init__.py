"""Publish trained models: SavedModels with their records and cards, tables, and their reproduction."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cards": ["card"],
        "collage": ["write_collage"],
        "publication": ["publish", "push"],
        "records": ["CARD_FILE", "Published", "Record", "TrainedRun", "published", "read"],
        "reproduction": ["Comparison", "measure", "reproduce"],
        "tables": ["best_models", "comparisons", "gallery", "rankings", "reconstructions", "stock_comparisons"],
    },
)
