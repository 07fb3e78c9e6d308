"""Train a published model again, evaluate it under the same protocols, and compare the scores.

python experiments/reproduce.py vae-mlp
"""

from keras_gen.commands import cli, reproduce

if __name__ == "__main__":
    cli.main(reproduce.main)
