"""Utilities of all packages: errors, checks, files, progress, signals. They are independent of models and data."""
