"""Write what README.md, docs/ and the cards of models have from code and records, or check that it is up to date.

python experiments/docs.py
python experiments/docs.py --check
"""

from keras_gen.commands import cli, docs

if __name__ == "__main__":
    cli.main(docs.main)
