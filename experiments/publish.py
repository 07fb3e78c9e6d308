"""Publish the trained model of finished and evaluated runs: a SavedModel with its record, scores, card and a picture.

python experiments/publish.py runs/00001-vae-mlp runs/00002-vae-mlp runs/00003-vae-mlp
"""

from keras_gen.commands import cli, publish

if __name__ == "__main__":
    cli.main(publish.main)
