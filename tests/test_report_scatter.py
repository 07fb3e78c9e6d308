"""Scatter plots by class, and embeddings compared with independent computations."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

from keras_gen import UsageError, report


def points_of(figure):
    return [np.asarray(collection.get_offsets()) for collection in figure.axes[0].collections]


def legend_of(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def blobs(count=60, dimensions=5, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return 10 * np.eye(dimensions)[labels] + generator.normal(size=(count, dimensions)), labels


# Points


def test_every_class_has_its_points_shape_color_and_name(tmp_path):
    codes, labels = blobs(dimensions=3)
    codes = codes[:, :2]
    figure = report.scatter(codes, labels, "latents", names=["cat", "dog", "ship"])
    axes = figure.axes[0]
    for index, points in enumerate(points_of(figure)):
        np.testing.assert_array_equal(points, codes[labels == index])
    assert len({tuple(collection.get_facecolor()[0][:3]) for collection in axes.collections}) == 3
    assert len({collection.get_paths()[0].vertices.tobytes() for collection in axes.collections}) == 3
    assert legend_of(figure) == ["cat (20)", "dog (20)", "ship (20)"]
    assert [text.get_text() for text in axes.texts] == ["cat", "dog", "ship"]
    for index, text in enumerate(axes.texts):
        np.testing.assert_array_equal(text.get_position(), np.median(codes[labels == index], axis=0))
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_aspect()) == ("z₀", "z₁", 1)
    report.save_figure(figure, tmp_path / "x.png")


def test_the_style_of_a_class_does_not_depend_on_other_classes():
    codes, labels = np.zeros((4, 2)), np.array([3, 3, 8, 8])
    all_classes = report.scatter(np.zeros((10, 2)), np.arange(10), "x").axes[0].collections
    some = report.scatter(codes, labels, "x")
    assert legend_of(some) == ["3 (2)", "8 (2)"]
    for collection, index in zip(some.axes[0].collections, (3, 8), strict=True):
        np.testing.assert_array_equal(collection.get_facecolor(), all_classes[index].get_facecolor())
        np.testing.assert_array_equal(collection.get_paths()[0].vertices, all_classes[index].get_paths()[0].vertices)


@pytest.mark.parametrize("count", [1, 7])
def test_points_without_labels_and_of_one_class(tmp_path, count):
    codes = np.random.default_rng(0).normal(size=(count, 2))
    plain = report.scatter(codes, None, "x")
    np.testing.assert_array_equal(points_of(plain)[0], codes)
    assert plain.axes[0].get_legend() is None
    assert len(plain.axes[0].texts) == 0
    one = report.scatter(codes, np.full(count, 4), "x")
    assert legend_of(one) == [f"4 ({count})"]
    report.save_figure(one, tmp_path / "one.png")


def test_many_classes_are_in_the_legend_only():
    labels = np.arange(100)
    figure = report.scatter(np.random.default_rng(0).normal(size=(100, 2)), labels, "x")
    assert len(legend_of(figure)) == 100
    assert len(figure.axes[0].texts) == 0
    figure.draw_without_rendering()
    axes = figure.axes[0].get_window_extent()
    assert axes.width > 0.3 * figure.bbox.width
    assert figure.axes[0].get_legend().get_window_extent().x1 <= figure.bbox.width


@pytest.mark.parametrize(
    ("codes", "labels", "names", "message"),
    [
        (np.zeros((3, 3)), None, None, r"codes must be of shape \(n, 2\), n at least 1, received: shape \(3, 3\)"),
        (np.zeros((0, 2)), None, None, r"codes must be of shape \(n, 2\), n at least 1, received: shape \(0, 2\)"),
        ([[0, np.nan]], None, None, "codes must be finite, received: 1 of 2 values NaN or infinite"),
        (np.zeros((3, 2)), [0, 1], None, r"labels must be 3 integers, received: int64 of shape \(2,\)"),
        (np.zeros((2, 2)), [0.0, 1.0], None, r"labels must be 2 integers, received: float64 of shape \(2,\)"),
        (np.zeros((2, 2)), [0, -1], None, "labels must be at least 0, received: -1"),
        (np.zeros((101, 2)), range(101), None, "labels must be of at most 100 classes, or None, received: 101"),
        (
            np.zeros((2, 2)),
            [0, 2],
            ["a", "b"],
            r"names must be a name for each class from 0 to 2, received: \['a', 'b'\]",
        ),
        (np.zeros((2, 2)), [0, 1], "ab", "names must be a name for each class from 0 to 1, received: 'ab'"),
    ],
)
def test_invalid_points_are_refused(codes, labels, names, message):
    labels = None if labels is None else np.asarray(labels)
    with pytest.raises(UsageError, match=f"^{message}$"):
        report.scatter(codes, labels, "x", names)


# Principal components


def test_principal_components_are_those_of_the_singular_value_decomposition():
    codes = np.random.default_rng(0).normal(size=(50, 4)) @ np.diag([4, 3, 1, 0.5])
    embedding = report.pca(codes)
    left, values, _ = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * values[:2]
    np.testing.assert_allclose(np.abs(embedding.points), np.abs(expected), atol=1e-9)
    shares = 100 * values**2 / (values**2).sum()
    assert embedding.axis_names == (
        f"first component ({shares[0]:.0f} % of the variance)",
        f"second component ({shares[1]:.0f} % of the variance)",
    )
    assert embedding.description == "PCA of 50 codes of 4 dimensions"


# t-SNE


def test_tsne_keeps_neighbors_and_classes_together():
    images, labels = load_digits(return_X_y=True)
    images, labels = images[:200], labels[:200]
    embedding = report.tsne(images, seed=0)
    assert embedding.points.shape == (200, 2)
    assert embedding.points.dtype == np.float64
    assert trustworthiness(images, embedding.points, n_neighbors=5) > 0.95
    assert embedding.description == "t-SNE (perplexity 30, seed 0) of 200 codes of 64 dimensions"


def test_tsne_is_reproducible():
    codes, _ = blobs()
    first, second = (report.tsne(codes, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)
    line = codes[:20, :1]  # one dimension: random initialization instead of PCA
    first, second, other = (report.tsne(line, seed=seed).points for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_an_embedding_is_drawn_with_its_labels_and_its_description():
    codes, labels = blobs()
    embedding = report.tsne(codes, seed=1)
    assert embedding.description == "t-SNE (perplexity 19.7, seed 1) of 60 codes of 5 dimensions"
    figure = report.embedding_figure(embedding, labels, "three classes")
    assert figure.axes[0].get_title() == embedding.description
    assert legend_of(figure) == [f"{index} ({(labels == index).sum()})" for index in range(3)]
    for index, points in enumerate(points_of(figure)):
        np.testing.assert_array_equal(points, embedding.points[labels == index])


@pytest.mark.parametrize(("count", "dimensions"), [(4, 3), (5, 1)])
def test_tsne_of_very_few_codes_and_of_one_dimension(count, dimensions):
    embedding = report.tsne(np.random.default_rng(0).normal(size=(count, dimensions)))
    assert embedding.points.shape == (count, 2)
    assert np.isfinite(embedding.points).all()
    assert f"perplexity {(count - 1) / 3:.3g}," in embedding.description


def test_the_plane_of_tsne_has_no_numbers_and_that_of_pca_has(tmp_path):
    codes, labels = blobs()
    without = report.embedding_figure(report.tsne(codes), labels, "x")
    shown = report.embedding_figure(report.pca(codes), None, "x")
    for figure, expected in ((without, False), (shown, True)):
        report.save_figure(figure, tmp_path / "x.png")
        assert any(label.get_visible() and label.get_text() for label in figure.axes[0].get_xticklabels()) == expected
    assert shown.axes[0].get_xlabel().startswith("first component (")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: report.pca(np.ones((1, 3))), r"codes must be at least 2 samples, received: shape \(1, 3\)"),
        (lambda: report.pca(np.ones((5, 1))), "codes must have at least 2 dimensions, received: 1"),
        (lambda: report.pca(np.ones((5, 3))), "codes must not be all the same, received: 5 equal ones"),
        (lambda: report.pca(np.ones((5, 4, 4))), r"codes must be of shape \(n, D\), .*received: shape \(5, 4, 4\)"),
        (lambda: report.tsne(np.ones((3, 3))), r"codes must be at least 4 samples, received: shape \(3, 3\)"),
        (lambda: report.tsne(np.ones((9, 3))), "codes must not be all the same, received: 9 equal ones"),
        (lambda: report.tsne(np.eye(9), seed=-1), "seed must be an integer from 0 to 2147483647, received: -1"),
        (
            lambda: report.embedding_figure(report.pca(np.eye(9)), np.zeros(8, int), "x"),
            r"labels must be 9 integers, received: int64 of shape \(8,\)",
        ),
    ],
)
def test_invalid_embeddings_are_refused(call, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        call()


def test_ragged_labels_are_refused():
    with pytest.raises(UsageError, match="^labels must be 2 integers, received: "):
        report.scatter(np.zeros((2, 2)), [[0], [1, 2]])
