"""HTML pages of runs and comparisons."""
