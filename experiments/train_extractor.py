"""Train one of the classifiers whose features ship with keras_gen, and write its weights and where they come from.

python experiments/train_extractor.py lenet --data-dir DIR
"""

from keras_gen.commands import cli, train_extractor

if __name__ == "__main__":
    cli.main(train_extractor.main)
