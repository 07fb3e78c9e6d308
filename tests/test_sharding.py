"""Division of batches among replicas: complete, even, and with the same batches of a step as on one device."""

import itertools
import json
import subprocess
import sys
import textwrap

import pytest
from command_helpers import environment
from selection_helpers import selected


SIZES = range(1, 14)
DIVISIONS = [(2, 1), (3, 2), (4, 3), *(pytest.param(each, marks=pytest.mark.slow) for each in [(3, 1), (4, 1), (2, 2)])]
"""Number of replicas, and `multiple_of`."""

SCRIPT = textwrap.dedent(
    """
    import json
    import sys
    import numpy as np
    import tensorflow as tf
    from tensorflow.python.data.experimental.ops import distribute
    from tensorflow.python.distribute import input_ops

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)

    from keras_gen.data import batches, evaluation_batches
    from keras_gen.distribution import sharding

    sizes, divisions = json.loads(sys.argv[1])

    def numbers(shard):
        return [int(number) for number in shard]

    def result(replicas, multiple_of):
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)])
        # The n-th batch has n examples.
        examples = tf.data.Dataset.from_tensor_slices(sizes).map(lambda size: (tf.range(size), 10 * tf.range(size)))
        sharded = sharding.shard(strategy, examples, multiple_of=multiple_of)
        assert sharded.num_batches == len(sizes)
        assert isinstance(iter(sharded), tf.data.Iterator)  # one for all devices
        endless = sharding.shard(strategy, examples.repeat(), multiple_of=multiple_of)
        assert endless.num_batches is None
        unknown = sharding.shard(strategy, examples.filter(lambda *batch: True), multiple_of=multiple_of)
        assert unknown.num_batches is None and len(list(unknown)) == len(sizes)
        # What a replica's step receives, and selects as its own part.
        signature = [sharded.element_spec]  # one trace for all sizes
        own = tf.function(lambda batch: strategy.run(sharding.replica_part, (batch,)), input_signature=signature)
        passes = []
        for _ in range(2):
            steps = []
            for element in sharded:
                parts = own(element)
                batch = [
                    tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[index], parts)
                    for index in range(replicas)
                ]
                steps.append(
                    [
                        {
                            "examples": part.parts[0].numpy().tolist(),
                            "together": bool(tf.reduce_all(10 * part.parts[0] == part.parts[1])),
                            "shard": numbers(part.shard),
                            "weights": part.shard.weights(len(part.parts[0]), tf.float32).numpy().tolist(),
                            "strided": [numbers(part.shard.strided(i, multiple_of)) for i in range(multiple_of)],
                            "tripled": numbers(part.shard.times(3)),
                        }
                        for part in batch
                    ]
                )
            passes.append(steps)
        assert passes[0] == passes[1]
        return passes[0]

    def batches_of_two_replicas():
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        copied = np.arange(23, dtype=np.uint8).reshape(23, 1, 1, 1)
        copied.tofile("images")

        def pieces(dataset, steps):
            iterator = iter(strategy.experimental_distribute_dataset(dataset))
            return [
                [piece.numpy().ravel().tolist() for piece in strategy.experimental_local_results(next(iterator))]
                for _ in range(steps)
            ]

        def plain(dataset, steps):
            return [batch.numpy().ravel().tolist() for batch in dataset.take(steps)]

        results = []
        for images in (copied, np.memmap("images", np.uint8, "r", shape=copied.shape)):
            for drop_remainder in (False, True):
                dataset = batches(images, batch_size=8, seed=1, drop_remainder=drop_remainder).dataset
                results.append((plain(dataset, 7), pieces(dataset, 7)))
            dataset = evaluation_batches(images, batch_size=8)
            results.append((plain(dataset, 3), pieces(dataset, 3)))
            with strategy.scope():  # where variables are created per device
                dataset = batches(images, batch_size=8, seed=1).dataset
            results.append((plain(dataset, 7), pieces(dataset, 7)))

            dataset = batches(images, batch_size=8, seed=1).dataset
            iterator = iter(batches(images, batch_size=8, seed=1, strategy=strategy).dataset)
            shared = [next(iterator) for _ in range(7)]
            parts = [[part.parts[0].numpy().ravel().tolist() for part in pair] for pair in shared]
            results.append((plain(dataset, 7), parts))

            # The dataset as sharded by a strategy of two workers with one replica each, on worker 0 and on worker 1.
            dataset = batches(images, batch_size=8, seed=1).dataset
            workers = [
                plain(input_ops.auto_shard_dataset(distribute._LegacyRebatchDataset(dataset, 2), 2, worker, 2), 7)
                for worker in range(2)
            ]
            results.append((plain(dataset, 7), [list(pair) for pair in zip(*workers)]))
        return results

    divided = [result(*division) for division in divisions]
    print("RESULT" + json.dumps([divided, batches_of_two_replicas()]))
    """
)


@pytest.fixture(scope="module")
def outcome(request, tmp_path_factory):
    """What a process with four devices finds: results of the selected tests' divisions, batches of two replicas."""
    divisions = selected(request, "division")
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([list(SIZES), divisions])],
        cwd=tmp_path_factory.mktemp("process"),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "RESULT" in process.stdout, process.stderr[-3000:]
    divided, batches = json.loads(process.stdout.partition("RESULT")[2])
    return dict(zip(divisions, divided, strict=True)), batches


@pytest.fixture
def results(outcome):
    return outcome[0]


@pytest.mark.parametrize("division", DIVISIONS, ids="{0[0]} replicas, {0[1]}".format)
def test_every_example_belongs_to_one_replica_and_no_replica_is_empty(results, division):
    replicas, multiple_of = division
    for size, parts in zip(SIZES, results[division], strict=True):
        assert len(parts) == replicas
        assert all(part["together"] for part in parts)
        counted = [x for part in parts for x, weight in zip(part["examples"], part["weights"], strict=True) if weight]
        assert counted == list(range(size))
        lengths = [len(part["examples"]) for part in parts]
        assert min(lengths) >= multiple_of
        groups = [length // multiple_of for length in lengths]
        assert max(groups) - min(groups) <= 1
        total = max(size, replicas * multiple_of)
        assert sum(lengths) == total
        for index, part in enumerate(parts):
            first = sum(lengths[:index])
            assert part["shard"] == [first, total, size]
            assert first % multiple_of == 0
            assert part["tripled"] == [3 * first, 3 * total, 3 * size]


@pytest.mark.parametrize("division", DIVISIONS, ids="{0[0]} replicas, {0[1]}".format)
def test_the_batches_of_a_step_are_those_of_one_device(results, division):
    _, step = division
    for size, parts in zip(SIZES, results[division], strict=True):
        for index in range(step):
            # As on one device, which takes one of the images if there are fewer than updates.
            expected = list(range(size))[index::step] or [index % size]
            pieces = [part["examples"][index::step] for part in parts]
            total = sum(map(len, pieces))
            for place, part in enumerate(parts):
                assert part["strided"][index] == [sum(map(len, pieces[:place])), total, len(expected)]
            joined = [example for piece in pieces for example in piece]
            assert joined[: len(expected)] == expected


def test_two_replicas_share_each_batch(outcome):
    _, results = outcome
    assert len(results) == 2 * 6
    for plain, pieces in results:
        assert [len(pair) for pair in pieces] == [2] * len(plain)
        assert [list(itertools.chain(*pair)) for pair in pieces] == plain
        assert all(abs(len(pair[0]) - len(pair[1])) <= 1 for pair in pieces)
