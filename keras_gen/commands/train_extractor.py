"""The command `experiments/train_extractor.py`: train a feature extractor that ships with keras_gen."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass
from pathlib import Path

from keras_gen.commands import cli
from keras_gen.utils import checks, files
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line


@dataclass(frozen=True)
class Training:
    """Training configuration of a classifier: data, schedule and augmentation.

    Args:
        dataset: str. Named data set; the network is trained on its train split only.
        network: str. Function of `keras_gen.metrics.extractors.classifier_networks` that builds the network.
        epochs: int. Number of epochs.
        batch_size: int. Images per update.
        learning_rate: float. Peak learning rate: it rises over the first fifth of the updates, then decays to 0 by a
            cosine.
        weight_decay: float. Weight decay of AdamW.
        shift: float. Maximum translation, as a fraction of the image's side.
        rotation: float. Maximum angle, as a fraction of a full turn.
        zoom: float. Maximum relative change of size.
        flip: bool. Whether images are mirrored with probability 1/2.
        required_accuracy: float. Test accuracy below which nothing is written.
    """

    dataset: str
    network: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    shift: float
    rotation: float
    zoom: float
    flip: bool
    required_accuracy: float


TRAININGS = {
    "lenet": Training("mnist", "lenet", 12, 128, 3e-3, 1e-2, 0.08, 0.03, 0.1, flip=False, required_accuracy=0.993),
    "cifar": Training(
        "cifar10", "cifar_resnet", 14, 128, 4e-3, 5e-2, 0.125, 0.0, 0.0, flip=True, required_accuracy=0.85
    ),
}

CLASSES = 10
"""Number of logits of both networks."""


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Train a feature extractor that ships with keras_gen.")
    add = parser.add_argument
    add("name", choices=sorted(TRAININGS), help="extractor to train")
    add("--data-dir", type=cli.file_name, metavar="DIR", help="folder with NAME.npz; default: $KERAS_GEN_DATA")
    add("--dataset", type=cli.file_name, metavar="NAME", help="other data: a name, .npz file or folder, as in run.py")
    epochs = "passes over the training images; default: as for the shipped extractor"
    add("--epochs", type=int, help=epochs)
    add("--seed", type=int, default=0, help="seed of weights, data order and augmentation")
    out = Path("keras_gen/metrics/extractors/shipped")
    add("--out", type=cli.path, default=out, metavar="DIR", help="folder for the two files")
    add("--required-accuracy", type=float, help="test accuracy below which nothing is written")
    return parser


def main() -> None:
    """Run the command: parse, train, measure the accuracy of the rounded weights, write."""
    arguments = parser().parse_args()
    training = TRAININGS[arguments.name]
    epochs = checks.positive_int("--epochs", training.epochs if arguments.epochs is None else arguments.epochs)
    seed = checks.seed("--seed", arguments.seed)
    required = training.required_accuracy if arguments.required_accuracy is None else arguments.required_accuracy
    checks.non_negative("--required-accuracy", required)
    files.check_can_write_directory(arguments.out, overwrite=True, argument="--out")

    from keras_gen import data

    images = data.load(arguments.dataset or training.dataset, data_dir=arguments.data_dir)
    check(arguments.name, images)
    cli.load_tensorflow()
    started = time.monotonic()
    network = train(training, images, epochs, seed)
    weights = [array.astype("float16") for array in network.get_weights()]
    network.set_weights([array.astype("float32") for array in weights])  # measure the weights that are shipped
    splits = {"validation": images.validation, "test": images.test}
    accuracies = {role: accuracy(network, split) for role, split in splits.items() if len(split)}
    print_line(", ".join(f"{role} accuracy {value:.4f}" for role, value in accuracies.items()))
    if accuracies.get("test", 0.0) < required:
        raise UsageError(f"nothing was written: the test accuracy is below {required}")
    description = {
        "made_by": f"experiments/train_extractor.py {arguments.name}",
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "network": training.network,
        "weights": network.count_params(),
        "trained_on": {name: images.description()[name] for name in ("name", "counts", "image_shape", "fingerprint")},
        "schedule": {name: value for name, value in vars(training).items() if name not in ("dataset", "network")}
        | {"epochs": epochs, "seed": seed},
        "seconds": round(time.monotonic() - started),
        "accuracy": accuracies,
    }
    write(arguments.out, arguments.name, weights, description)


def check(name: str, images) -> None:
    """Check that the data fit the network."""
    from keras_gen.metrics.extractors.classifiers import KINDS

    size, channels = KINDS[name].size, KINDS[name].channels
    height, width, depth = images.image_shape
    if (height, width, depth) != (size, size, channels) or not 1 <= images.num_classes <= CLASSES:
        labels = f"{images.num_classes} classes" if images.num_classes else "no labels"
        requirement = f"{size}x{size}x{channels} images with labels of at most {CLASSES} classes"
        raise must_be("dataset", requirement, f"{height}x{width}x{depth}, {labels}")
    if len(images.test) and images.test.labels is None:
        raise must_be(
            "dataset", "test images with labels, for the accuracy", f"{images.name}, whose test images have none"
        )


def train(training: Training, images, epochs: int, seed: int):
    """Build and train the network; return it."""
    import keras

    from keras_gen.metrics.extractors import classifier_networks

    keras.utils.set_random_seed(seed)
    network = getattr(classifier_networks, training.network)()
    steps = -(-len(images.train) // training.batch_size) * epochs
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 5, warmup_target=training.learning_rate, warmup_steps=steps // 5
    )
    _, logits = network.outputs
    classifier = keras.Model(network.inputs, logits)
    classifier.compile(
        keras.optimizers.AdamW(schedule, weight_decay=training.weight_decay),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    classifier.fit(batches(training, images.train, seed), epochs=epochs, shuffle=False, verbose=2)
    return network


def batches(training: Training, split, seed: int):
    """Return a dataset of batches of augmented images in [0, 1] and labels, reshuffled every epoch."""
    import keras
    import tensorflow as tf

    augmentations = [keras.layers.RandomTranslation(training.shift, training.shift, fill_mode="constant", seed=seed)]
    if training.rotation:
        augmentations.append(keras.layers.RandomRotation(training.rotation, fill_mode="constant", seed=seed + 1))
    if training.zoom:
        augmentations.append(keras.layers.RandomZoom(training.zoom, fill_mode="constant", seed=seed + 2))
    if training.flip:
        augmentations.append(keras.layers.RandomFlip("horizontal", seed=seed + 3))

    def augment(images, labels):
        images = tf.cast(images, tf.float32) / 255.0
        for augmentation in augmentations:
            images = augmentation(images, training=True)
        return images, labels

    dataset = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
    dataset = dataset.shuffle(len(split), seed=seed).batch(training.batch_size)
    return dataset.map(augment, num_parallel_calls=1).prefetch(2)


def accuracy(network, split) -> float:
    """Return the classification accuracy of the network on a split."""
    import numpy as np

    _, logits = network.predict(split.images.astype("float32") / 255.0, batch_size=500, verbose=0)
    return float(np.mean(np.argmax(logits, axis=-1) == split.labels))


def write(folder: Path, name: str, weights: list, description: dict) -> None:
    """Write `NAME.npz`, the weights in the network's order, and `NAME.json`, the description with the SHA-256 of it."""
    import numpy as np

    from keras_gen.metrics.extractors import weight_files

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.npz"
    with files.atomic_path(file) as temporary:
        np.savez_compressed(temporary, **{str(index): array for index, array in enumerate(weights)})
    description = {"name": name, "sha256": weight_files.digest(file), **description}
    files.write_json(folder / f"{name}.json", description)
    print_line(f"{file}: {file.stat().st_size:,} bytes")
