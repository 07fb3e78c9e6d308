"""Compare evaluated runs; rank only scores with the same protocol.

python experiments/compare.py runs/00001-gan-conv runs/00002-wgan-conv
"""

from keras_gen.commands import cli, compare

if __name__ == "__main__":
    cli.main(compare.main)
