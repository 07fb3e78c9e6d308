"""Train a feature extractor that ships with keras_gen.

python experiments/train_extractor.py lenet --data-dir DIR
"""

from keras_gen.commands import cli, train_extractor

if __name__ == "__main__":
    cli.main(train_extractor.main)
