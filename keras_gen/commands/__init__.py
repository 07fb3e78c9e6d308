"""The commands behind `experiments/*.py`: parse arguments, call the package, print results."""
