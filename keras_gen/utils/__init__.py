"""What every room uses: errors, checks, files, progress, signals. Nothing here knows of models or data."""
