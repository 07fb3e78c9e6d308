"""Train a recipe on a grid of settings and seeds, each member in its own process.

python experiments/sweep.py --model vae-dense --grid latent_dim=2,64 --grid epochs=20,100 --seeds 3
python experiments/sweep.py --resume sweeps/00001-vae-dense
"""

from keras_gen.commands import cli, sweep

if __name__ == "__main__":
    cli.main(sweep.main)
