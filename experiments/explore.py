"""Explore trained models in the browser: sample, vary latents, interpolate, reconstruct a drawing.

python experiments/explore.py saved_models/vae-mlp
"""

from keras_gen.commands import cli, explore

if __name__ == "__main__":
    cli.main(explore.main)
