"""The callback that warns of collapsed networks."""

import keras
import numpy as np
import pytest
from model_helpers import make_gan, make_vae, pixels

from keras_gen import WGAN, UsageError
from keras_gen.callbacks import Health


@pytest.fixture
def look(capsys):
    """Ends epochs with these logs; the lines that are printed, by epoch."""

    def epochs(callback, model, *logs):
        callback.set_model(model)
        callback.set_params({"verbose": 2})
        printed = {}
        for epoch, entries in enumerate(logs, start=1):
            callback.on_epoch_end(epoch - 1, entries)
            printed[epoch] = capsys.readouterr().out
        return {epoch: lines for epoch, lines in printed.items() if lines}

    return epochs


@pytest.fixture
def gan():
    return make_gan()


def generating(model, monkeypatch, *samples):
    """Has a model generate these, one after the other, the last for ever."""
    left = list(samples)
    monkeypatch.setattr(model, "generate", lambda n, seed: {"images": left.pop(0) if len(left) > 1 else left[0]})
    return model


def test_a_discriminator_that_is_certain_is_said_to_be_once(gan, look):
    lines = look(Health(pixels()), gan, {"d_loss": 5e-4}, {"d_loss": 4e-4}, {"d_loss": 3e-4})
    assert lines == {
        2: "WARNING: after epoch 2 the discriminator has collapsed: its loss is 0.0004, it tells generated from real "
        "images with certainty\n"
    }


def test_one_epoch_is_no_collapse(gan, look):
    assert look(Health(pixels()), gan, {"d_loss": 1e-4}, {"d_loss": 0.5}, {"d_loss": 1e-4}, {"d_loss": 0.5}) == {}


def test_a_network_that_recovers_is_said_to_and_can_collapse_again(gan, look):
    low, high = {"d_loss": 1e-4}, {"d_loss": 0.5}
    lines = look(Health(pixels()), gan, low, low, high, low, low)
    assert lines.keys() == {2, 3, 5}
    assert lines[3] == "NOTE: after epoch 3 the discriminator has recovered\n"
    assert lines[5].startswith("WARNING: after epoch 5 the discriminator has collapsed")


def test_a_critic_may_have_a_loss_as_low_as_it_likes(look):
    assert look(Health(pixels()), make_gan(WGAN, critic_steps=2), *[{"critic_loss": -50.0, "d_loss": -50.0}] * 3) == {}


def test_an_encoder_whose_latents_say_nothing_is_said_to_have_collapsed(look, monkeypatch):
    model = generating(make_vae(), monkeypatch, pixels(64))
    lines = look(Health(pixels()), model, {"kl": 0.04}, {"kl": 0.03})
    assert lines == {
        2: "WARNING: after epoch 2 the encoder has collapsed: its KL divergence is 0.03 nats, the latents say nothing "
        "of the image\n"
    }


def test_a_generator_of_one_picture_is_said_to_have_collapsed_and_to_recover(gan, look, monkeypatch):
    same, varied = np.repeat(pixels(1), 64, axis=0), pixels(64)
    lines = look(Health(pixels(500)), generating(gan, monkeypatch, same, same, varied), {}, {}, {})
    # Uniform on 0 to 255: a standard deviation of 255 / √12 = 73.6.
    assert lines[2].startswith(
        "WARNING: after epoch 2 the generator has collapsed: its images are nearly one picture: pixels vary by 0 gray "
        "levels from image to image, those of real ones by 7"
    )
    assert lines[3] == "NOTE: after epoch 3 the generator has recovered\n"


@pytest.mark.parametrize(("share", "collapsed"), [(0.05, True), (0.2, False)])
def test_how_much_the_pictures_must_vary(share, collapsed, gan, look, monkeypatch):
    shrunk = np.rint(pixels(64) * share).astype(np.uint8)
    assert bool(look(Health(pixels(500)), generating(gan, monkeypatch, shrunk), {}, {})) is collapsed


def test_a_healthy_model_is_trained_as_without_it(capsys):
    with_it, without = make_gan(), make_gan()
    options = {"batch_size": 4, "epochs": 2, "verbose": 0, "shuffle": False}
    histories = [
        with_it.fit(pixels(), callbacks=[Health(pixels())], **options).history,
        without.fit(pixels(), **options).history,
    ]
    assert histories[0] == histories[1]


def test_a_collapsed_model_is_found_in_fit(capsys):
    model = make_vae(beta=1e5, optimizer=keras.optimizers.Adam(0.01))
    model.fit(pixels(), batch_size=4, epochs=30, verbose=0, callbacks=[Health(pixels())])
    assert "the encoder has collapsed: its KL divergence is " in capsys.readouterr().out


def test_a_wrong_seed_is_refused():
    with pytest.raises(UsageError, match="^seed must be"):
        Health(pixels(), seed=-1)
