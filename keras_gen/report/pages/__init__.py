"""HTML report pages of single runs and comparisons of several runs."""
