"""Layers of images: what Keras gives for the same transformation, the forms of data, draws, boxes and masks."""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala import layers, ops

IMAGES = np.random.RandomState(0).uniform(0, 255, (2, 6, 8, 3)).astype("float32")
MASKS = (IMAGES[..., :1] > 100).astype("float32")
BOXES = {
    "boxes": np.array([[[1, 1, 4, 3], [5, 2, 8, 6], [0, 0, 2, 2]]] * 2, "float32"),
    "labels": np.array([[1, 2, 3]] * 2),
}


def both(kind: str, /, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return getattr(layers, kind)(*args, **kwargs), getattr(keras.layers, kind)(*args, **kwargs)


def host(x: Any) -> Any:
    return ops.convert_to_numpy(x)


# name, arguments; FIXED ones draw nothing, or the same for everyone.
FIXED: list[tuple[str, dict[str, Any]]] = [
    ("Resizing", {"height": 5, "width": 4}),
    ("Resizing", {"height": 12, "width": 4, "crop_to_aspect_ratio": True}),
    ("Resizing", {"height": 3, "width": 9, "crop_to_aspect_ratio": True, "interpolation": "nearest"}),
    ("Resizing", {"height": 5, "width": 4, "pad_to_aspect_ratio": True, "fill_value": 3.0}),
    ("Resizing", {"height": 4, "width": 5, "interpolation": "bicubic", "antialias": True}),
    ("CenterCrop", {"height": 3, "width": 4}),
    ("CenterCrop", {"height": 8, "width": 8}),
    ("CenterCrop", {"height": 4, "width": 10}),
    ("AutoContrast", {}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 3), "clip_limit": 2.0}),
]

CONST = {"fill_mode": "constant", "fill_value": 9.0}
RANDOM: list[tuple[str, dict[str, Any]]] = [
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": (-0.2, 0.1)}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.2, **CONST}),
    ("RandomRotation", {"factor": 0.1}),
    ("RandomRotation", {"factor": (0.1, 0.2), "interpolation": "nearest", **CONST}),
    ("RandomZoom", {"height_factor": 0.3}),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": (-0.3, -0.2), "fill_mode": "wrap"}),
    ("RandomShear", {"x_factor": 0.3, "y_factor": 0.2}),
    ("RandomPerspective", {"factor": (1.0, 1.0), "scale": 0.3}),
    ("RandomBrightness", {"factor": 0.3}),
    ("RandomContrast", {"factor": (0.3, 0.5)}),
    ("RandomColorDegeneration", {"factor": 0.5}),
    ("RandomHue", {"factor": 0.5}),
    ("RandomSaturation", {"factor": (0.2, 0.45)}),  # stronger colours are cut off at full saturation here
    ("RandomSharpness", {"factor": 0.5}),
    ("RandomPosterization", {"factor": 4}),
    ("RandomInvert", {"factor": 0.8}),
    ("Solarization", {"addition_factor": 0.3, "threshold_factor": 0.6}),
    ("RandomGaussianBlur", {"kernel_size": (5, 3), "sigma": (0.5, 2.0)}),
]
OTHER: list[tuple[str, dict[str, Any]]] = [
    ("RandomCrop", {"height": 3, "width": 4}),
    ("RandomElasticTransform", {}),
    ("RandomGrayscale", {}),
    ("RandomColorJitter", {"brightness_factor": 0.2, "hue_factor": 0.3}),
]
IDS = dict(ids=lambda v: v if isinstance(v, str) else "-".join(v))


@pytest.mark.parametrize("name,kwargs", FIXED, **IDS)
def test_fixed_layers_give_what_keras_gives(backend: str, name: str, kwargs: dict[str, Any]) -> None:
    ours, theirs = both(name, **kwargs)
    for images in (IMAGES, IMAGES[0]):
        np.testing.assert_allclose(host(ours(images)), theirs(images), atol=2e-3)
    whole = IMAGES.astype("uint8")
    found, expected = ours(whole), np.asarray(theirs(whole))
    assert ops.dtype(found) == expected.dtype
    assert np.abs(host(found).astype("float32") - expected).max() <= 1
    first = type(ours)(**kwargs, data_format="channels_first")
    np.testing.assert_allclose(
        host(first(IMAGES.transpose(0, 3, 1, 2))).transpose(0, 2, 3, 1), host(ours(IMAGES)), atol=1e-3
    )


@pytest.mark.parametrize("name,kwargs", RANDOM, **IDS)
def test_the_same_transformation_as_in_keras(backend: str, name: str, kwargs: dict[str, Any]) -> None:
    ours, theirs = both(name, **kwargs, seed=1, bounding_box_format="xyxy")
    drawn = theirs.get_random_transformation(IMAGES, training=True)
    given = {k: np.asarray(v) if hasattr(v, "dtype") else v for k, v in drawn.items()}
    np.testing.assert_allclose(
        host(ours.transform_images(IMAGES, given)), theirs.transform_images(IMAGES, drawn), atol=5e-3
    )
    if not ours.geometric:
        return
    np.testing.assert_array_equal(
        host(ours.transform_segmentation_masks(MASKS, given)), theirs.transform_segmentation_masks(MASKS, drawn)
    )
    if name != "RandomShear":  # Keras's boxes are pushed by approximation there, ours by the images' own matrix
        found, expected = (x.transform_bounding_boxes(dict(BOXES), t) for x, t in ((ours, given), (theirs, drawn)))
        for key in BOXES:
            np.testing.assert_allclose(host(found[key]), expected[key], atol=1e-3)


@pytest.mark.parametrize("name,kwargs", RANDOM + OTHER, **IDS)
def test_draws(backend: str, name: str, kwargs: dict[str, Any]) -> None:
    make = getattr(layers, name)
    first, again, other = (make(**kwargs, seed=s) for s in (7, 7, 8))
    values = [host(layer(IMAGES)) for layer in (first, again, other)]
    np.testing.assert_array_equal(values[0], values[1])
    later = [values[2], *(host(first(IMAGES)) for _ in range(4))]
    assert any(np.abs(values[0] - v).max() > 0 for v in later)
    if not first.always:
        np.testing.assert_array_equal(host(first(IMAGES, training=False)), IMAGES)
    assert first(IMAGES[0]).shape == values[0].shape[1:]
    assert ops.dtype(first(IMAGES.astype("uint8"))) in ("float32", "uint8")


@pytest.mark.parametrize("name,kwargs", FIXED + RANDOM + OTHER, **IDS)
def test_configs(name: str, kwargs: dict[str, Any]) -> None:
    extra = {} if (name, kwargs) in FIXED else {"seed": 3}
    for more in ({}, {"bounding_box_format": "xywh"}):
        ours, theirs = (layer.get_config() for layer in both(name, **kwargs, **extra, **more, name="x"))
        assert list(ours) == list(theirs)
        assert {k: v for k, v in ours.items() if k != "dtype"} == {k: v for k, v in theirs.items() if k != "dtype"}
        assert getattr(layers, name).from_config(ours).get_config() == ours


def test_a_dict_of_images_boxes_masks_and_labels(backend: str) -> None:
    data = {
        "images": IMAGES,
        "bounding_boxes": BOXES,
        "segmentation_masks": MASKS,
        "labels": np.eye(2),
        "id": np.arange(2),
    }
    one = {k: {n: v[0] for n, v in x.items()} if isinstance(x, dict) else x[0] for k, x in data.items()}
    flip = layers.RandomFlip("horizontal", seed=1, bounding_box_format="xyxy")
    always = {"flips": np.array([True, True]), "input_shape": IMAGES.shape}
    found = flip.transform_bounding_boxes(BOXES, always)
    np.testing.assert_allclose(host(found["boxes"])[0], [[4, 1, 7, 3], [0, 2, 3, 6], [6, 0, 8, 2]])
    for given, batch in ((data, (2,)), (one, ())):
        out = flip(given)
        assert set(out) == set(data)
        assert tuple(out["images"].shape) == (*batch, 6, 8, 3) and tuple(out["bounding_boxes"]["boxes"].shape) == (
            *batch,
            3,
            4,
        )
        assert tuple(out["segmentation_masks"].shape) == (*batch, 6, 8, 1) and tuple(out["labels"].shape) == (*batch, 2)
    with pytest.raises(ValueError, match="bounding_box_format"):
        layers.RandomFlip()(data)


def test_boxes_follow_cuts_in_every_format(backend: str) -> None:
    crop = layers.CenterCrop(4, 4, bounding_box_format="rel_xywh")
    size = np.array([8, 6, 8, 6])
    corners = BOXES["boxes"]
    relative = np.concatenate([corners[..., :2], corners[..., 2:] - corners[..., :2]], -1) / size
    out = crop({"images": IMAGES, "bounding_boxes": {**BOXES, "boxes": relative.astype("float32")}})["bounding_boxes"]
    np.testing.assert_allclose(host(out["boxes"])[0, :2], [[0, 0, 0.5, 0.5], [0.75, 0.25, 0.25, 0.75]], atol=1e-6)
    assert host(out["labels"]).tolist() == [[1, 2, -1]] * 2
    out = layers.Resizing(12, 4, bounding_box_format="xyxy")({"images": IMAGES, "bounding_boxes": BOXES})
    np.testing.assert_allclose(host(out["bounding_boxes"]["boxes"]), BOXES["boxes"] * [0.5, 2, 0.5, 2], atol=1e-5)


def test_masks_may_lack_channels(backend: str) -> None:
    resize = layers.Resizing(3, 4, interpolation="bicubic")
    masks = (np.arange(96).reshape(2, 6, 8) % 5).astype("int32")
    found = resize.transform_segmentation_masks(masks, {"region": (0, 0, 6, 8), "input_shape": IMAGES.shape})
    assert tuple(found.shape) == (2, 3, 4) and ops.dtype(found) == "int32"
    np.testing.assert_array_equal(host(found), masks[:, 1::2, 1::2])


@pytest.mark.parametrize("bins", [256, 16])
def test_equalization_is_of_each_image(backend: str, bins: int) -> None:
    ours, theirs = both("Equalization", bins=bins)  # Keras counts the values of a whole batch together
    expected = np.concatenate([theirs(IMAGES[i : i + 1]) for i in (0, 1)])
    np.testing.assert_allclose(host(ours(IMAGES)), expected, atol=1e-3)
    np.testing.assert_array_equal(host(ours(IMAGES, training=False)), IMAGES)


def test_random_crop(backend: str) -> None:
    crop = layers.RandomCrop(3, 4, seed=2)
    windows = {IMAGES[0, i : i + 3, j : j + 4].tobytes() for i in range(4) for j in range(5)}
    seen = {host(crop(IMAGES))[0].tobytes() for _ in range(8)}
    assert seen <= windows and len(seen) > 2
    whole = layers.Resizing(3, 4, crop_to_aspect_ratio=True)(IMAGES)
    np.testing.assert_allclose(host(crop(IMAGES, training=False)), host(whole), atol=1e-4)
    assert crop(IMAGES[:, :2]).shape == (2, 3, 4, 3)


def test_max_num_bounding_boxes(backend: str) -> None:
    for number in (2, 5):
        out = layers.MaxNumBoundingBoxes(number)({"images": IMAGES, "bounding_boxes": BOXES})["bounding_boxes"]
        assert tuple(out["boxes"].shape) == (2, number, 4)
        assert host(out["labels"])[0].tolist() == [1, 2, 3, -1, -1][:number]


def test_in_a_model(backend: str) -> None:
    model = nyala.Sequential(
        [
            nyala.Input((None, None, 3)),
            layers.Resizing(6, 6),
            layers.RandomFlip(seed=1),
            layers.RandomRotation(0.1, seed=1),
        ]
        + [layers.RandomCrop(4, 4, seed=1), layers.Flatten(), layers.Dense(1)]
    )
    assert model.layers[0].output.shape == (None, 6, 6, 3)
    model.compile("sgd", "mse")
    model.fit(IMAGES / 255, np.ones((2, 1)), epochs=2, batch_size=1, verbose=0)
    assert model.predict(IMAGES / 255, verbose=0).shape == (2, 1)


def test_in_tf_data() -> None:
    import tensorflow as tf

    with nyala.backend_scope("jax"):
        resize, crop = layers.Resizing(4, 5), layers.RandomCrop(3, 3, seed=1)
        flip, turn = layers.RandomFlip(seed=1), layers.RandomRotation(0.2, seed=1)
        assert len(flip.variables) == 1
        data = tf.data.Dataset.from_tensor_slices(np.concatenate([IMAGES[:1]] * 12)).map(lambda x: turn(crop(flip(x))))
        values = np.stack(list(data.as_numpy_iterator()))
        assert values.shape == (12, 3, 3, 3) and len({v.tobytes() for v in values}) > 6
        # Sizes that only the data knows, as of decoded files.
        sized = tf.data.Dataset.from_generator(
            lambda: iter([IMAGES[0], IMAGES[1, :5, :3]]), output_signature=tf.TensorSpec((None, None, 3))
        )
        for layer in (resize, layers.Resizing(4, 5, pad_to_aspect_ratio=True, fill_value=2.0), layers.CenterCrop(4, 5)):
            found = list(sized.map(layer).as_numpy_iterator())
            for x, y in zip((IMAGES[0], IMAGES[1, :5, :3]), found):
                np.testing.assert_allclose(y, host(layer(x)), atol=1e-2)
        assert next(iter(sized.map(crop).as_numpy_iterator())).shape == (3, 3, 3)
        assert nyala.backend.backend() == "jax" and flip(IMAGES).__class__.__module__.startswith("jax")


def test_no_tensorflow_is_loaded() -> None:
    import subprocess

    code = (
        "import sys, numpy, nyala; nyala.layers.RandomFlip()(numpy.ones((4, 4, 3)));"
        "f = nyala.utils.FeatureSpace({'a': 'string_categorical', 'b': 'float'});"
        "d = {'a': ['x', 'y'], 'b': [1, 2]}; f.adapt(d); f(d); sys.exit('tensorflow' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={**__import__("os").environ, "NYALA_BACKEND": "jax"}
        ).returncode
        == 0
    )


@pytest.mark.parametrize(
    "make,said",
    [
        (lambda: layers.RandomFlip("sideways"), "mode must be one of"),
        (lambda: layers.RandomRotation((0.2, 0.1)), r"factor must be a number or a pair \(lower, upper\)"),
        (lambda: layers.RandomZoom(2.0), "height_factor must be a number in"),
        (lambda: layers.Resizing(0, 3), "height must be a positive int"),
        (lambda: layers.RandomShear(0.1, fill_mode="foo"), "fill_mode must be one of"),
        (lambda: layers.RandomFlip(bounding_box_format="foo"), "bounding_box_format must be one of"),
    ],
)
def test_errors(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
