"""Convert a function of a trained model to ONNX or LiteRT.

python experiments/convert.py vae-mlp --function decode --out decode.onnx
"""

from keras_gen.commands import cli, convert

if __name__ == "__main__":
    cli.main(convert.main)
