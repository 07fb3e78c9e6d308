"""Evaluate a trained run.

python experiments/evaluate.py runs/00003-vae-lstm
"""

from keras_gen.commands import cli, evaluate

if __name__ == "__main__":
    cli.main(evaluate.main)
