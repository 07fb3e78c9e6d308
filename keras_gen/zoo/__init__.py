"""The zoo: every experiment is one named recipe. A module of this package holds a family of them."""

from keras_gen.zoo.registry import Parameter, Recipe, build, get, recipe, recipes

__all__ = ["Parameter", "Recipe", "build", "get", "recipe", "recipes"]
