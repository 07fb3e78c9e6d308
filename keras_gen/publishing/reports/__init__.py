"""The five course reports, made again: trainings, and a page of their figures and tables beside ours."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "making": ["finish", "resume_command", "start"],
        "pages": ["html", "markdown"],
        "record": ["RECORD_FILE", "ReportRecord", "read"],
        "registry": ["NAMES"],
    },
)
