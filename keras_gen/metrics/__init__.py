"""Measures of generated images: one file a metric, formulas on feature arrays.

Importing this package costs NumPy at most, and no formula imports TensorFlow: features are what `keras_gen.metrics.extractors`
make of images.
"""
