"""Time parts of keras_gen against their alternatives, or watch the memory of a long run.

python experiments/benchmark.py frechet
python experiments/benchmark.py inception-v3
python experiments/benchmark.py memory
python experiments/benchmark.py sampling --models vae-lstm,gan-conv --json measured.json
python experiments/benchmark.py evaluation
python experiments/benchmark.py scaling
python experiments/benchmark.py start-up
python experiments/benchmark.py workers --models vae-mlp,gan-conv,wgan-gp
"""

from keras_gen.commands import benchmark, cli

if __name__ == "__main__":
    cli.main(benchmark.main)
