"""Write the tables of README.md and docs/ that list the recipes, or check that they are up to date.

python experiments/docs.py
python experiments/docs.py --check
"""

from keras_gen.commands import cli, docs

if __name__ == "__main__":
    cli.main(docs.main)
