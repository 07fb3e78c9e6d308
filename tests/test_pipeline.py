"""Batches: every image once per epoch, in an order that depends only on the seed and the epoch."""

from __future__ import annotations

import gc
import itertools
import tempfile

import numpy as np
import pytest

from keras_gen.data import Batches, batches, evaluation_batches, pipeline
from keras_gen.utils.errors import UsageError


def coded(count):
    """Return images whose pixels all equal the image's index."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 1)).copy()


def epochs(stream: Batches, number: int) -> list[list[list[int]]]:
    """Return the indices in each batch of each of the first epochs."""
    iterator = iter(stream.dataset)
    return [[next(iterator).numpy()[:, 0, 0, 0].tolist() for _ in range(stream.steps_per_epoch)] for _ in range(number)]


def flat(epoch):
    return list(itertools.chain.from_iterable(epoch))


def test_every_image_comes_once_an_epoch_in_another_order_each():
    stream = batches(coded(100), batch_size=32, seed=0)
    assert stream.steps_per_epoch == 4
    seen = epochs(stream, 3)
    for epoch in seen:
        assert [len(batch) for batch in epoch] == [32, 32, 32, 4]
        assert sorted(flat(epoch)) == list(range(100))
        assert flat(epoch) != list(range(100))
    assert flat(seen[0]) != flat(seen[1]) != flat(seen[2]) != flat(seen[0])


def test_the_order_is_a_function_of_seed_and_epoch():
    seen = epochs(batches(coded(50), batch_size=16, seed=5), 5)
    assert epochs(batches(coded(50), batch_size=16, seed=5), 5) == seen
    for initial_epoch in (1, 3):
        resumed = epochs(batches(coded(50), batch_size=16, seed=5, initial_epoch=initial_epoch), 2)
        assert resumed == seen[initial_epoch : initial_epoch + 2]
    # The batch size and a second pass over the same dataset don't change it.
    assert [flat(epoch) for epoch in epochs(batches(coded(50), batch_size=7, seed=5), 5)] == [flat(e) for e in seen]
    stream = batches(coded(50), batch_size=16, seed=5)
    assert epochs(stream, 2) == epochs(stream, 2) == seen[:2]
    others = [flat(epoch) for seed in (0, 4, 6) for epoch in epochs(batches(coded(50), batch_size=16, seed=seed), 5)]
    assert not any(flat(epoch) in others for epoch in seen)


def test_the_order_is_the_same_on_every_machine():
    assert epochs(batches(coded(8), batch_size=8, seed=1), 2) == [
        [[5, 1, 6, 4, 7, 2, 0, 3]],
        [[0, 2, 7, 6, 5, 3, 4, 1]],
    ]


def test_shuffling_is_uniform():
    # Positions of image 0 in 400 epochs of 4 images: each is expected 100 times, standard deviation 8.7.
    seen = epochs(batches(coded(4), batch_size=4, seed=0), 400)
    places = np.bincount([flat(epoch).index(0) for epoch in seen], minlength=4)
    assert np.all(np.abs(places - 100) < 40)


def test_without_shuffling():
    assert epochs(batches(coded(5), batch_size=2, seed=0, shuffle=False), 2) == [[[0, 1], [2, 3], [4]]] * 2


def test_drop_remainder():
    stream = batches(coded(10), batch_size=4, seed=0, drop_remainder=True)
    assert stream.steps_per_epoch == 2
    assert stream.dataset.element_spec.shape == (4, 4, 4, 1)
    seen = epochs(stream, 3)
    complete = epochs(batches(coded(10), batch_size=4, seed=0), 3)
    assert seen == [epoch[:2] for epoch in complete]
    with pytest.raises(UsageError, match=r"batch_size must be at most 10 .*received: 11"):
        batches(coded(10), batch_size=11, seed=0, drop_remainder=True)
    assert batches(coded(10), batch_size=10, seed=0, drop_remainder=True).steps_per_epoch == 1


def test_elements_types_and_shapes():
    import tensorflow as tf

    unlabeled = batches(coded(10), batch_size=5, seed=0).dataset.element_spec
    assert unlabeled == tf.TensorSpec((5, 4, 4, 1), tf.uint8)
    labels = np.arange(10, dtype=np.int16) * 7
    stream = batches(coded(10), labels, batch_size=4, seed=0)
    assert stream.dataset.element_spec == (tf.TensorSpec((None, 4, 4, 1), tf.uint8), tf.TensorSpec((None,), tf.int64))
    assert stream.dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    for images, batch_labels in stream.dataset.take(6):
        assert np.array_equal(images.numpy()[:, 0, 0, 0].astype(int) * 7, batch_labels.numpy())


@pytest.mark.parametrize("group", [1, 2, 3, 100])
def test_batches_do_not_depend_on_how_many_are_gathered_at_once(group, monkeypatch):
    options = {"labels": np.arange(23), "batch_size": 3, "seed": 5, "initial_epoch": 2, "initial_step": 4}
    expected = list(batches(coded(23), **options).dataset.take(12).as_numpy_iterator())
    assert [len(labels) for _, labels in expected] == [3, 3, 3, 2, *([3] * 7), 2]
    monkeypatch.setattr(pipeline, "MAX_GROUP", group * 3 * 16)
    found = batches(coded(23), **options).dataset.take(12).as_numpy_iterator()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_images_are_not_copied_into_the_graph():
    def functions(dataset):
        yield from dataset._functions()
        for earlier in dataset._inputs():
            yield from functions(earlier)

    images = np.zeros((1000, 32, 32, 1), np.uint8)  # a megabyte
    dataset = batches(images, np.arange(1000), batch_size=100, seed=0).dataset
    graphs = [function.function.graph.as_graph_def().SerializeToString() for function in functions(dataset)]
    assert len(graphs) == 3  # shuffling, gathering for several steps, and taking these apart
    assert max(map(len, graphs)) < 100_000


# Large images, which are used without a copy


def in_memory(images, offset=0):
    """Return a copy that begins `offset` bytes after a multiple of 64, where TensorFlow uses it in place."""
    memory = np.empty(images.nbytes + 64 + offset, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    copy = memory[start : start + images.nbytes].reshape(images.shape)
    copy[...] = images
    return copy


def unaligned(images):
    return in_memory(images, offset=1)


def mapped(images):
    with tempfile.TemporaryFile() as file:
        file.write(images)
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=images.shape)


places = pytest.mark.parametrize("place", [in_memory, unaligned, np.asfortranarray, mapped])


def address(tensor):
    """Return the address of a tensor's first byte."""
    return np.asarray(memoryview(tensor)).ctypes.data


@places
def test_batches_are_the_same_wherever_images_are(place, monkeypatch):
    images, labels = coded(50), np.arange(50, dtype=np.int32)
    options = [
        {"batch_size": 16, "seed": 5},
        {"batch_size": 16, "seed": 5, "initial_epoch": 2, "initial_step": 3},
        {"batch_size": 7, "seed": 0, "drop_remainder": True},
        {"batch_size": 25, "seed": 0, "shuffle": False},
    ]
    expected = [batches(images, labels, **some).dataset for some in options]
    expected.append(evaluation_batches(images, labels, batch_size=16))
    monkeypatch.setattr(pipeline, "MAX_COPIED", 0)
    placed = place(images)
    found = [batches(placed, labels, **some).dataset for some in options]
    found.append(evaluation_batches(placed, labels, batch_size=16))
    for one, other in zip(expected, found, strict=True):
        assert one.element_spec == other.element_spec
        assert one.cardinality() == other.cardinality()
        for here, there in zip(one.take(12), other.take(12), strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))
    assert epochs(batches(placed, batch_size=16, seed=5), 2) == epochs(batches(images, batch_size=16, seed=5), 2)


@places
def test_aligned_large_images_are_not_copied(place, monkeypatch):
    monkeypatch.setattr(pipeline, "MAX_COPIED", 0)
    placed = place(coded(50))
    tensor = pipeline._tensor(placed)
    assert np.array_equal(tensor, placed) and tensor.device.endswith("CPU:0")
    assert (address(tensor) == placed.ctypes.data) == (place in (in_memory, mapped))


def test_small_images_may_be_changed_afterwards():
    images = coded(8)
    stream = batches(images, batch_size=8, seed=1)
    images[...] = 0
    assert epochs(stream, 1) == [[[5, 1, 6, 4, 7, 2, 0, 3]]]


def test_images_are_kept_while_a_dataset_needs_them():
    stream = batches(mapped(coded(50)), batch_size=10, seed=0)
    gc.collect()
    assert sorted(flat(epochs(stream, 1)[0])) == list(range(50))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 1.0}, "seed must be"),
        ({"initial_epoch": -1}, "initial_epoch must be"),
        ({"images": coded(4) / 255}, "images must be a uint8 array .*received: .float64 "),
        ({"images": coded(4)[..., 0]}, r"images must be .*received: 'uint8 \(4, 4, 4\)'"),
        ({"images": coded(0)}, "images must be .*N at least 1"),
        ({"images": [1]}, "images must be .*received: 'list'"),
        ({"labels": np.arange(3)}, r"labels must be 4 integers.*received: 'int64 of shape \(3,\)"),
        ({"labels": np.arange(4.0)}, "labels must be 4 integers"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    arguments = {"images": coded(4), "batch_size": 2, "seed": 0} | arguments
    with pytest.raises(UsageError, match=message):
        batches(**arguments)


def test_evaluation_batches_are_finite_and_in_order():
    labels = np.arange(7) + 100
    dataset = evaluation_batches(coded(7), labels, batch_size=3)
    assert dataset.cardinality() == 3
    for _ in range(2):
        seen = [(images.numpy()[:, 0, 0, 0].tolist(), some.numpy().tolist()) for images, some in dataset]
        assert seen == [([0, 1, 2], [100, 101, 102]), ([3, 4, 5], [103, 104, 105]), ([6], [106])]
    assert evaluation_batches(coded(6), batch_size=3).element_spec.shape == (3, 4, 4, 1)
    with pytest.raises(UsageError, match="batch_size must be"):
        evaluation_batches(coded(7), batch_size=0)


def test_fit_sees_every_epoch_completely():
    import keras

    seen = []

    class Recorder(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = keras.layers.Dense(1)

        def call(self, images):
            return self.scale(keras.ops.reshape(images, (-1, 16)))

        def train_step(self, images):
            seen.append(images.numpy()[:, 0, 0, 0].tolist())
            return {"loss": 0.0}

    model = Recorder()
    model.compile(run_eagerly=True)
    stream = batches(coded(10), batch_size=4, seed=2, initial_epoch=1)
    model.fit(
        stream.dataset, steps_per_epoch=stream.steps_per_epoch, initial_epoch=1, epochs=4, shuffle=False, verbose=0
    )
    expected = epochs(batches(coded(10), batch_size=4, seed=2), 4)[1:]
    assert seen == flat(expected)


# Dynamic binarization


def gray(count=40):
    return np.random.default_rng(0).integers(0, 256, (count, 6, 6, 1), np.uint8)


def drawn(images, number, **options):
    stream = batches(images, binarize=True, **{"batch_size": 16, "seed": 3, "shuffle": False} | options)
    iterator = iter(stream.dataset)
    per_epoch = [[next(iterator).numpy() for _ in range(stream.steps_per_epoch)] for _ in range(number)]
    return [np.concatenate(epoch) for epoch in per_epoch]


def test_pixels_are_drawn_anew_each_epoch_with_the_probability_of_their_gray_level():
    images = np.broadcast_to(np.array([0, 51, 128, 255], np.uint8), (2000, 4))[:, :, None, None].copy()
    first, second = drawn(images, 2, batch_size=500)
    assert set(np.unique(first)) == {0, 255}
    np.testing.assert_allclose((first == 255).mean(axis=0).ravel(), np.array([0, 51, 128, 255]) / 255, atol=0.03)
    agreement = (first == second).mean(axis=0).ravel()
    np.testing.assert_allclose(agreement, [1, 0.2**2 + 0.8**2, 0.5, 1], atol=0.04)


def test_draws_are_those_of_seed_and_epoch_also_from_within_an_epoch():
    images = gray()
    epochs = drawn(images, 3)
    np.testing.assert_array_equal(drawn(images, 1, initial_epoch=2)[0], epochs[2])
    late = iter(batches(images, batch_size=16, seed=3, shuffle=False, binarize=True, initial_step=1).dataset)
    np.testing.assert_array_equal(next(late), epochs[0][16:32])
    assert not np.array_equal(drawn(images, 1, seed=4)[0], epochs[0])


def test_labels_stay_with_their_binarized_images():
    images = np.repeat(np.array([0, 255], np.uint8), 20)[:, None, None, None]
    for batch, labels in batches(images, np.repeat([0, 1], 20), batch_size=8, seed=0, binarize=True).dataset.take(5):
        np.testing.assert_array_equal(batch[:, 0, 0, 0] // 255, labels)
