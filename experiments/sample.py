"""Generate images from a SavedModel or a finished run.

python experiments/sample.py saved_models/vae-mlp --num 100 --seed 0 --out digits.png
"""

from keras_gen.commands import cli, sample

if __name__ == "__main__":
    cli.main(sample.main)
