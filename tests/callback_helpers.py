"""Helpers of callback tests: small models and their state."""

import numpy as np

from keras_gen import zoo
from keras_gen.runs import checkpoints

SHAPE = (8, 8, 1)


def pictures(count=12):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def tiny(seed=0, **overrides):
    return zoo.build("vae-mlp", SHAPE, seed=seed, **({"hidden": 8, "latent_dim": 2} | overrides))


def tiny_gan(seed=0):
    return zoo.build("gan-conv", SHAPE, seed=seed, latent_dim=3, dropout=0.4)


def fit(model, epochs=1, initial_epoch=0, chosen=()):
    return model.fit(
        pictures(), batch_size=4, epochs=epochs, initial_epoch=initial_epoch, callbacks=list(chosen), verbose=0
    )


def state_of(model):
    return [variable.numpy() for variable in checkpoints._variables(model)]
