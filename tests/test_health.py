"""The callback that warns about collapsed networks."""

import keras
import numpy as np
import pytest
from model_helpers import make_gan, make_vae, pixels

from keras_gen import WGAN, UsageError
from keras_gen.callbacks import Health, health


@pytest.fixture
def look(capsys, monkeypatch):
    """Return a function that ends epochs of 500 updates with given logs and returns the printed lines, by epoch."""

    def epochs(callback, model, *logs):
        callback.set_model(model)
        callback.set_params({"verbose": 2})
        printed = {}
        for epoch, entries in enumerate(logs, start=1):
            monkeypatch.setattr(type(model), "updates", {"updates": 500 * epoch})
            callback.on_epoch_end(epoch - 1, entries)
            printed[epoch] = capsys.readouterr().out
        return {epoch: lines for epoch, lines in printed.items() if lines}

    return epochs


@pytest.fixture(scope="module")
def gan():
    return make_gan()


def generating(model, monkeypatch, *samples):
    """Make a model generate these images, one after the other, and the last ones repeatedly."""
    left = list(samples)
    monkeypatch.setattr(model, "generate", lambda n, seed: {"images": left.pop(0) if len(left) > 1 else left[0]})
    return model


def test_a_certain_discriminator_is_reported_once(gan, look):
    lines = look(Health(pixels()), gan, {"d_loss": 5e-4}, {"d_loss": 4e-4}, {"d_loss": 3e-4})
    assert lines == {
        2: "WARNING: after epoch 2 the discriminator has collapsed: its loss is 0.0004, it separates generated from "
        "real images with certainty\n"
    }


def test_a_network_has_time_to_begin(gan, look, monkeypatch):
    monkeypatch.setattr(health, "MIN_UPDATES", 1500)
    assert look(Health(pixels()), gan, *[{"d_loss": 1e-4}] * 5).keys() == {4}


def test_one_epoch_is_no_collapse(gan, look):
    assert look(Health(pixels()), gan, {"d_loss": 1e-4}, {"d_loss": 0.5}, {"d_loss": 1e-4}, {"d_loss": 0.5}) == {}


def test_a_recovery_is_reported_and_a_network_can_collapse_again(gan, look):
    low, high = {"d_loss": 1e-4}, {"d_loss": 0.5}
    lines = look(Health(pixels()), gan, low, low, high, low, low)
    assert lines.keys() == {2, 3, 5}
    assert lines[3] == "NOTE: after epoch 3 the discriminator has recovered\n"
    assert lines[5].startswith("WARNING: after epoch 5 the discriminator has collapsed")


def test_a_low_loss_of_a_critic_is_no_collapse(look):
    assert look(Health(pixels()), make_gan(WGAN, critic_steps=2), *[{"critic_loss": -50.0, "d_loss": -50.0}] * 3) == {}


def test_a_posterior_collapse_is_reported(look, monkeypatch):
    model = generating(make_vae(), monkeypatch, pixels(64))
    lines = look(Health(pixels()), model, {"kl": 0.04}, {"kl": 0.03})
    assert lines == {
        2: "WARNING: after epoch 2 the encoder has collapsed: its KL divergence is 0.03 nats, the latents carry no "
        "information\n"
    }


def test_a_mode_collapse_and_its_recovery_are_reported(gan, look, monkeypatch):
    same, varied = np.repeat(pixels(1), 64, axis=0), pixels(64)
    lines = look(Health(pixels(500)), generating(gan, monkeypatch, same, same, varied), {}, {}, {})
    # Uniform on 0 to 255: a standard deviation of 255 / √12 = 73.6.
    assert lines[2].startswith(
        "WARNING: after epoch 2 the generator has collapsed: its images are nearly identical: pixels vary by 0 gray "
        "levels between generated images, by 7"
    )
    assert lines[3] == "NOTE: after epoch 3 the generator has recovered\n"


@pytest.mark.parametrize(("share", "collapsed"), [(0.05, True), (0.2, False)])
def test_images_must_vary_by_a_tenth_of_the_diversity_of_real_ones(share, collapsed, gan, look, monkeypatch):
    shrunk = np.rint(pixels(64) * share).astype(np.uint8)
    assert bool(look(Health(pixels(500)), generating(gan, monkeypatch, shrunk), {}, {})) is collapsed


def test_the_callback_does_not_change_training(capsys):
    with_it, without = make_gan(), make_gan()
    options = {"batch_size": 10, "epochs": 2, "verbose": 0, "shuffle": False}
    histories = [
        with_it.fit(pixels(), callbacks=[Health(pixels())], **options).history,
        without.fit(pixels(), **options).history,
    ]
    assert histories[0] == histories[1]


def test_a_collapsed_model_is_found_in_fit(capsys, monkeypatch):
    monkeypatch.setattr(health, "MIN_UPDATES", 20)
    model = make_vae(eager=False, beta=1e5, optimizer=keras.optimizers.Adam(0.05))
    model.fit(pixels(), batch_size=4, epochs=12, verbose=0, callbacks=[Health(pixels())])
    assert "the encoder has collapsed: its KL divergence is " in capsys.readouterr().out


def test_a_wrong_seed_is_refused():
    with pytest.raises(UsageError, match="^seed must be"):
        Health(pixels(), seed=-1)


@pytest.mark.parametrize("count", [0, 1])
def test_images_that_do_not_differ_are_refused(count):
    with pytest.raises(UsageError, match="^images must be at least two different images, received: "):
        Health(pixels()[:count])


def test_float_images_are_refused():
    with pytest.raises(UsageError, match="images must be "):
        Health(pixels() / 255)
