"""``utils.bounding_boxes`` against Keras's."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import keras
import numpy as np
import pytest

from nyala import ops
from nyala.utils import bounding_boxes

RNG = np.random.RandomState(0)
CORNERS = np.concatenate([c := RNG.uniform(0, 20, (2, 3, 2)), c + RNG.uniform(1, 10, (2, 3, 2))], -1).astype("float32")
OTHERS = (CORNERS[:, ::-1] + RNG.uniform(-1, 1, (2, 3, 4))).astype("float32")
LABELS = np.arange(6).reshape(2, 3)
SIZE = dict(height=24, width=28)
FORMATS = "xyxy yxyx xywh center_xywh center_yxhw rel_xyxy rel_yxyx rel_xywh rel_center_xywh".split()
# Shear along x and a turn together have another sign in one place of Keras's matrix, which no shear has.
LOOKS = dict(angle=[0.0, -30], translate_x=[0.1, 0.1], translate_y=[0.0, 0.2], scale=[1.0, 1.5], shear_x=[20.0, 0.0],
             shear_y=[0.0, 10.0])  # fmt: skip
ANCHORS = dict(anchor_format="xyxy", box_format="xyxy")

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *[("convert_format", (CORNERS, a, b), SIZE) for a, b in zip(FORMATS[1::2], FORMATS[2::2])],
    ("convert_format", ({"boxes": CORNERS, "labels": LABELS}, "xyxy", "rel_yxyx"), SIZE),
    ("clip_to_image_size", ({"boxes": CORNERS, "labels": LABELS},), dict(height=15, width=10)),
    ("clip_to_image_size", ({"boxes": CORNERS / 20, "labels": LABELS},), dict(bounding_box_format="rel_xyxy")),
    ("crop", (CORNERS, 3, 5, 12, 9), {}),
    ("pad", (CORNERS, 3, 5), dict(height=30, width=40)),
    ("compute_iou", (CORNERS, OTHERS, "xyxy"), {}),
    ("compute_iou", (CORNERS / 30, OTHERS / 30, "rel_xywh"), dict(image_shape=(30, 30, 3))),
    ("compute_iou", (CORNERS, np.where(OTHERS < 4, -1, OTHERS), "xyxy"), dict(use_masking=True)),
    ("compute_ciou", (CORNERS, OTHERS, "xyxy"), {}),
    ("encode_box_to_deltas", (CORNERS, OTHERS + [0, 0, 3, 3]), ANCHORS),
    ("encode_box_to_deltas", (CORNERS, CORNERS + 1), dict(encoding_format="center_xywh", variance=[0.1, 0.1, 0.2, 0.2], **ANCHORS)),
    ("decode_deltas_to_boxes", (CORNERS, OTHERS / 20), ANCHORS),
    ("affine_transform", (CORNERS,), dict(**{k: np.array(v, "float32") for k, v in LOOKS.items()}, **SIZE)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_values(backend: str, name: str, args: Any, kwargs: dict[str, Any]) -> None:
    ours, theirs = (getattr(m, name) for m in (bounding_boxes, keras.utils.bounding_boxes))
    found, expected = ours(*args, **kwargs), theirs(*copy.deepcopy(args), **kwargs)
    if not isinstance(found, dict):
        found, expected = {"": found}, {"": expected}
    assert set(found) == set(expected)
    for key, value in found.items():
        np.testing.assert_allclose(ops.convert_to_numpy(value), expected[key], rtol=1e-4, atol=2e-4)


def test_signatures() -> None:
    for name in bounding_boxes.__all__:
        ours, theirs = (inspect.signature(getattr(m, name)) for m in (bounding_boxes, keras.utils.bounding_boxes))
        assert [(p.name, p.default) for p in ours.parameters.values()] == [
            (p.name, p.default) for p in theirs.parameters.values()
        ]
    deltas = bounding_boxes.encode_box_to_deltas(CORNERS, OTHERS + 5, **ANCHORS, image_shape=(24, 28, 3))
    again = bounding_boxes.decode_deltas_to_boxes(CORNERS, deltas, **ANCHORS, image_shape=(24, 28, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(again), OTHERS + 5, atol=1e-3)
    with pytest.raises(ValueError, match="height and width are needed"):
        bounding_boxes.convert_format(CORNERS, "xyxy", "rel_xyxy")
