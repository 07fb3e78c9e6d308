"""Extension of the collector of docstrings, which reads the code without running it."""

import inspect

import griffe

from keras_gen.runs.settings import RunSettings


class Docstrings(griffe.Extension):
    """Change docstrings before they are parsed."""

    def on_object(self, *, obj, **options):
        """Rename the section `Example:`, which the parser calls `Examples:`, and take one docstring as it is at run time."""
        if obj.docstring is None:
            return
        if obj.path == f"{RunSettings.__module__}.{RunSettings.__qualname__}":  # it is completed from the fields
            obj.docstring.value = inspect.getdoc(RunSettings)
        obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
