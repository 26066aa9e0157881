"""Erasing, mixing and augmentation policies: Keras's values for the same draws, and what holds for all draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala import layers, ops

IMAGES = np.random.RandomState(0).uniform(1, 255, (4, 6, 5, 3)).astype("float32")
LABELS = np.eye(4, dtype="float32")
MASKS = (IMAGES[..., :1] > 100).astype("float32")
BOXES = {
    "boxes": np.random.RandomState(1).uniform(0, 2, (4, 2, 4)).astype("float32") + [0, 0, 2, 2],
    "labels": np.arange(8).reshape(4, 2),
}
DATA = {"images": IMAGES, "labels": LABELS, "segmentation_masks": MASKS, "bounding_boxes": BOXES}
ORDER = np.array([2, 0, 3, 1])
WEIGHTS = np.array([0.25, 0.5, 1.0, 0.0], "float32")
RECTANGLE = np.zeros((4, 6, 5, 3), bool)
RECTANGLE[1:, 2:4, 1:4] = True


@pytest.fixture(params=["torch", "tensorflow", pytest.param("jax", marks=pytest.mark.long)])
def eager(request: pytest.FixtureRequest) -> Iterator[str]:
    """JAX compiles every operation that is new to it; in the quick run it has the layers in a model instead."""
    with nyala.backend_scope(request.param):
        yield request.param


def host(x: Any) -> Any:
    return ops.convert_to_numpy(x)


CONFIGS: list[tuple[str, dict[str, Any]]] = [
    ("RandomErasing", {}),
    ("RandomErasing", {"factor": (0.2, 0.5), "scale": 0.3, "fill_value": 2.0, "value_range": (0, 1), "seed": 1}),
    ("MixUp", {}),
    ("MixUp", {"alpha": 1.5, "seed": 4}),
    ("CutMix", {}),
    ("CutMix", {"factor": (0.2, 0.5), "data_format": "channels_first"}),
    ("RandAugment", {}),
    ("RandAugment", {"value_range": (0, 1), "num_ops": 3, "factor": (0.1, 0.4), "interpolation": "nearest", "seed": 3}),
    ("AugMix", {}),
    ("AugMix", {"num_chains": 2, "chain_depth": 5, "alpha": 0.5, "all_ops": False, "factor": 0.2, "seed": 3}),
]


@pytest.mark.parametrize("name,kwargs", CONFIGS)
def test_configs(name: str, kwargs: dict[str, Any]) -> None:
    both = [
        getattr(library, name)(**kwargs, name="x", bounding_box_format="xywh") for library in (layers, keras.layers)
    ]
    ours, theirs = (layer.get_config() for layer in both)
    assert list(ours) == list(theirs)
    assert {**ours, "dtype": 0} == {**theirs, "dtype": 0}
    assert getattr(layers, name).from_config(ours).get_config() == ours
    for part, made in getattr(both[0], "_parts", {}).items():
        config, expected = made.get_config(), getattr(both[1], part).get_config()
        assert all(
            config[k] == v for k, v in expected.items() if k not in ("name", "dtype", "seed", "bounding_box_format")
        )


GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("MixUp", {"mix_weight": WEIGHTS, "permutation_order": ORDER}),
    ("CutMix", {"mix_weight": WEIGHTS.reshape(4, 1, 1, 1), "permutation_order": ORDER, "batch_masks": RECTANGLE}),
    ("RandomErasing", {"apply_erasing": WEIGHTS > 0.3, "batch_masks": RECTANGLE, "fill_value": IMAGES[::-1] / 2}),
]


@pytest.mark.parametrize("name,given", GIVEN, ids=[n for n, _ in GIVEN])
def test_the_same_transformation_as_in_keras(backend: str, name: str, given: dict[str, Any]) -> None:
    ours, theirs = getattr(layers, name)(), getattr(keras.layers, name)()
    np.testing.assert_allclose(
        host(ours.transform_images(IMAGES, given)), theirs.transform_images(IMAGES, given), atol=1e-4
    )
    np.testing.assert_allclose(host(ours.transform_labels(LABELS, given)), theirs.transform_labels(LABELS, given))
    masks = host(ours.transform_segmentation_masks(MASKS, given))
    weights = WEIGHTS.reshape(4, 1, 1, 1)
    # Keras mixes masks with the numbers of the images, not with their masks, and repeats them along the channels.
    expected = {
        "MixUp": weights * MASKS + (1 - weights) * MASKS[ORDER],
        "CutMix": np.where(RECTANGLE[..., :1], MASKS[ORDER], MASKS),
        "RandomErasing": MASKS,
    }[name]
    np.testing.assert_allclose(masks, expected)
    if name == "MixUp":
        found, keras_s = (x.transform_bounding_boxes(dict(BOXES), given) for x in (ours, theirs))
        np.testing.assert_allclose(host(found["boxes"]), keras_s["boxes"])
        # Keras puts the labels below each other, which no longer go with the boxes.
        np.testing.assert_array_equal(
            host(found["labels"]), np.concatenate([BOXES["labels"], BOXES["labels"][ORDER]], 1)
        )


def rectangle(changed: np.ndarray) -> float:
    """The part of an image that has changed, which must be one full rectangle."""
    rows, columns = changed.any(1), changed.any(0)
    assert (changed == rows[:, None] & columns[None]).all()
    assert all("01" not in "".join(map(str, v.astype(int))).lstrip("0") for v in (rows, columns))
    return changed.mean()


def test_erased_rectangles(eager: str) -> None:
    images = np.concatenate([IMAGES] * 2)
    erase = layers.RandomErasing(factor=(1, 1), scale=(0.2, 0.4), fill_value=0.0, seed=1)
    out = host(erase(images))
    areas = [rectangle((a != b).any(-1)) for a, b in zip(out, images)]
    assert min(areas) > 0.1 and max(areas) < 0.55 and len({tuple(np.argwhere(o[..., 0] == 0)[0]) for o in out}) > 2
    assert set(np.unique(out)) <= {0.0, *np.unique(images)}
    np.testing.assert_array_equal(host(layers.RandomErasing(factor=0.0)(images)), images)
    np.testing.assert_array_equal(host(erase(images, training=False)), images)
    noise = host(layers.RandomErasing(factor=(1, 1), scale=(1, 1), value_range=(-1, 1), seed=1)(images))
    assert noise.min() == -1 and noise.max() == 1 and 0.5 < noise.std() < 0.9


def test_labels_are_mixed_by_the_area(eager: str) -> None:
    out = layers.CutMix(factor=(1, 1), seed=5)({k: DATA[k] for k in ("images", "labels", "segmentation_masks")})
    mixed = 0
    for image, label, mask, i in zip(*(host(out[k]) for k in ("images", "labels", "segmentation_masks")), range(4)):
        cut = (image != IMAGES[i]).any(-1)
        area = rectangle(cut)
        other = int(np.argmax(np.where(np.arange(4) == i, 0, label)))
        np.testing.assert_array_equal(image[cut], IMAGES[other][cut])
        np.testing.assert_array_equal(mask, np.where(cut[..., None], MASKS[other], MASKS[i]))
        np.testing.assert_allclose(
            label, (1 - area) * LABELS[i] + area * LABELS[other] if area else LABELS[i], atol=1e-6
        )
        mixed += area > 0
    assert mixed
    extremes = host(layers.CutMix(factor=0.0, seed=1).get_random_transformation(IMAGES)["mix_weight"])
    assert set(extremes.ravel()) <= {0.0, 1.0}


def test_images_are_mixed_as_their_labels(eager: str) -> None:
    mix = layers.MixUp(alpha=1.0, seed=2, bounding_box_format="xyxy")
    out = mix(DATA)
    labels = host(out["labels"])
    assert 0.01 < labels.max(1).min() < 0.99
    for key in ("images", "segmentation_masks"):
        np.testing.assert_allclose(host(out[key]), np.einsum("ij,jhwc->ihwc", labels, DATA[key]), atol=1e-3)
    assert tuple(out["bounding_boxes"]["boxes"].shape) == (4, 4, 4)
    one = mix({k: v[0] for k, v in DATA.items() if k != "bounding_boxes"})
    np.testing.assert_allclose(host(one["images"]), IMAGES[0], rtol=1e-6)
    np.testing.assert_allclose(host(one["labels"]), LABELS[0])
    with pytest.raises(ValueError, match="one_hot"):
        mix({"images": IMAGES, "segmentation_masks": MASKS.astype("int32")})
    with pytest.raises(NotImplementedError, match="bounding boxes cannot be cut"):
        layers.CutMix()(DATA)


def test_rand_augment_is_its_parts(eager: str) -> None:
    policy = layers.RandAugment(num_ops=3, factor=(0.3, 0.3), seed=1, bounding_box_format="xyxy")
    chosen = ["random_translation", "random_brightness", "random_rotation"]
    drawn = {**policy.get_random_transformation(IMAGES), "layer_idxes": [list(policy._parts).index(n) for n in chosen]}
    parts = [
        kind((0.3, 0.3), *((0.3, 0.3) for _ in range(kind is layers.RandomTranslation)), bounding_box_format="xyxy")
        for kind in (layers.RandomTranslation, layers.RandomBrightness, layers.RandomRotation)
    ]
    expected = layers.Pipeline(parts)(DATA)
    np.testing.assert_allclose(host(policy.transform_images(IMAGES, drawn)), host(expected["images"]), atol=1e-2)
    masks = host(policy.transform_segmentation_masks(MASKS, drawn))
    np.testing.assert_array_equal(masks, host(expected["segmentation_masks"]))
    found = policy.transform_bounding_boxes(BOXES, drawn)
    # The parts cut boxes off at every edge on the way, the policy at the end.
    assert host(found["boxes"]).shape == (4, 2, 4)
    np.testing.assert_array_equal(
        host(found["labels"]) >= 0, host(found["boxes"])[..., 2] > host(found["boxes"])[..., 0]
    )


def test_aug_mix(eager: str) -> None:
    mix = layers.AugMix(seed=1, num_chains=2, chain_depth=2)
    drawn = mix.get_random_transformation(IMAGES)
    np.testing.assert_allclose(host(drawn["chain_mixing_weights"]).sum(), 1, atol=1e-6)
    nothing = len(mix._parts)
    same = {**drawn, "layer_idxes": np.full((2, 2), nothing)}
    np.testing.assert_allclose(host(mix.transform_images(IMAGES, same)), IMAGES, rtol=1e-5)
    contrast = list(mix._parts).index("auto_contrast")
    once = {**same, "layer_idxes": np.array([[nothing, contrast], [nothing, nothing]])}
    share = (1 - float(drawn["weight_sample"])) * float(host(drawn["chain_mixing_weights"])[0])
    stretched = host(layers.AutoContrast()(IMAGES))
    found = host(mix.transform_images(IMAGES, once))
    np.testing.assert_allclose(found, share * stretched + (1 - share) * IMAGES, atol=1e-2)
    masks = (MASKS * 3).astype("uint8")
    np.testing.assert_array_equal(host(mix.transform_segmentation_masks(masks, drawn)), masks)
    np.testing.assert_array_equal(host(mix.transform_labels(LABELS, drawn)), LABELS)
    assert set(layers.AugMix(all_ops=False)._parts) == {*mix._parts} - {
        "random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness"
    }  # fmt: skip


def _trains(*parts: Any) -> None:
    model = nyala.Sequential([nyala.Input((6, 5, 3)), *parts, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(IMAGES / 255, np.ones((4, 1)), batch_size=4, epochs=1, verbose=0)
    dense = model.layers[-1]
    expected = (IMAGES / 255).reshape(4, -1) @ host(dense.kernel) + host(dense.bias)
    np.testing.assert_allclose(model.predict(IMAGES / 255, verbose=0), expected, atol=1e-4)


def test_in_a_model(backend: str) -> None:
    _trains(layers.RandomErasing(value_range=(0, 1), seed=2), layers.CutMix(seed=4))


@pytest.mark.long
def test_policies_in_a_model(backend: str) -> None:
    _trains(layers.RandAugment((0, 1), num_ops=1, seed=1), layers.AugMix((0, 1), seed=1), layers.MixUp(seed=3))


def _prepared(*names: str, **data: Any) -> list[Any]:
    import tensorflow as tf

    made = [getattr(layers, n)(seed=1, bounding_box_format="xyxy") for n in names]
    return list(tf.data.Dataset.from_tensor_slices(data).batch(3).map(layers.Pipeline(made)).as_numpy_iterator())


def test_in_tf_data() -> None:
    with nyala.backend_scope("jax"):
        first, last = _prepared("RandAugment", "RandomErasing", "MixUp", **DATA)
    assert first["images"].shape == (3, 6, 5, 3) and last["images"].shape == (1, 6, 5, 3)
    assert first["bounding_boxes"]["boxes"].shape == (3, 4, 4)
    np.testing.assert_allclose(first["labels"].sum(1), 1, rtol=1e-6)


@pytest.mark.long
def test_the_others_in_tf_data() -> None:
    with nyala.backend_scope("jax"):
        first, _ = _prepared("AugMix", "CutMix", images=IMAGES, labels=LABELS, segmentation_masks=MASKS)
    assert first["segmentation_masks"].shape == (3, 6, 5, 1) and np.isfinite(first["images"]).all()


@pytest.mark.parametrize(
    "make,said",
    [
        (lambda: layers.RandomErasing(factor=2.0), "factor must be a number in"),
        (lambda: layers.RandomErasing(scale=(0.5, 0.2)), "scale must be a number or a pair"),
        (lambda: layers.MixUp(alpha=-1), "alpha must be a number in"),
        (lambda: layers.RandAugment(num_ops=0), "num_ops must be a positive int"),
        (lambda: layers.AugMix(interpolation="cubic"), "interpolation must be one of"),
    ],
)
def test_errors(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
