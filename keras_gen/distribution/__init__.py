"""Training on several devices and machines: strategies, and results that don't depend on the number of replicas."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "global_batch": ["dropout", "global_mean", "scaled_loss", "normal", "uniform"],
        "strategies": [
            "check_same_on_all_workers",
            "cluster_of",
            "is_chief",
            "is_multi_worker",
            "is_same_on_all_workers",
            "let_memory_grow",
            "strategy",
            "sum_over_workers",
            "value",
        ],
    },
)
