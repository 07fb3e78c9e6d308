"""Train a recipe of the zoo, or list the recipes.

python experiments/run.py --list
python experiments/run.py --model vae --epochs 100
python experiments/run.py --resume runs/00003-vae-lstm
"""

from keras_gen.commands import cli, run

if __name__ == "__main__":
    cli.main(run.main)
