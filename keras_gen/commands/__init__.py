"""The commands: parse arguments, call the package, print. `experiments/*.py` call these modules."""
