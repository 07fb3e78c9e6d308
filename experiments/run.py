"""Train a recipe, list the recipes, or resume a run.

python experiments/run.py --list
python experiments/run.py --model vae --epochs 100
python experiments/run.py --resume runs/00003-vae-lstm
"""

from keras_gen.commands import cli, run

if __name__ == "__main__":
    cli.main(run.main)
