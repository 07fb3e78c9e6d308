"""Walking a trained model: what its SavedModel can do as functions of arrays, and a page in the browser around them.

`explorer` and `drawing` know nothing of the page; `page` and `tabs` know nothing of TensorFlow.
"""
