"""Explore a trained model in the browser.

`model` and `drawing` are functions of arrays and do not depend on Gradio; `app` and `tabs` do not depend on TensorFlow.
"""
