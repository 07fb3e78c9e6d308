"""Measured runs side by side; ranked only where their numbers were measured in the same way.

python experiments/compare.py runs/00001-gan-conv runs/00002-wgan-conv
"""

from keras_gen.commands import cli, compare

if __name__ == "__main__":
    cli.main(compare.main)
