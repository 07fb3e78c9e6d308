"""Compare the training speed of recipes with that of plain Keras.

python experiments/benchmark_training.py --models vae-mlp,gan-conv --rounds 5 --json measured.json
"""

from keras_gen.commands import benchmark_training, cli

if __name__ == "__main__":
    cli.main(benchmark_training.main)
