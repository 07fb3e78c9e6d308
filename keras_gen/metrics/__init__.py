"""Measures of generated images: one file a metric, formulas on feature arrays; `features.py` holds the extractors.

Importing this package costs NumPy at most. The formulas never import TensorFlow; an extractor does when it is built.
"""
