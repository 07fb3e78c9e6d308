"""Parts of `benchmark.py`: what is measured, and against what."""
