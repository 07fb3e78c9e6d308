"""Functions that draw arrays as matplotlib figures."""
