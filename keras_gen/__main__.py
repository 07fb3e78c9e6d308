"""Run a command of keras_gen: `python -m keras_gen run --model vae`."""

from keras_gen.commands import program

if __name__ == "__main__":
    program.main()
