"""Calls of TensorFlow's functions in the graphs of tf.keras files, as calls of ``nyala.ops.stored_functions``.

tf.keras 2.4 to 2.15 names the function (``TFOpLambda``, ``SlicingOpLambda``), 2.1 to 2.3 holds the node of TensorFlow's
graph (``TensorFlowOpLayer``): https://www.tensorflow.org/api_docs/python/tf/raw_ops.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NoReturn

from nyala._typing import Config
from nyala.base import check

FUNCTION_LAYERS = ("TFOpLambda", "SlicingOpLambda")
NODE_LAYERS = ("TensorFlowOpLayer",)
LAYERS = (*FUNCTION_LAYERS, *NODE_LAYERS)

_LISTS = ("concat", "fill", "math.add_n", "ones", "stack", "zeros")
"""Functions whose first argument may be a list, also of one."""

_NODES = {
    "AddN": "math.add_n *inputs",
    "AddV2": "math.add x y",
    "ArgMax": "math.argmax input axis output_type=output_type",
    "ArgMin": "math.argmin input axis output_type=output_type",
    "Atan2": "math.atan2 y x",
    "AvgPool": "nn.avg_pool input ksize=ksize strides=strides padding=padding data_format=data_format",
    "BatchMatMul": "linalg.matmul a b adj_x=transpose_a adj_y=transpose_b",
    "BatchMatMulV2": "linalg.matmul a b adj_x=transpose_a adj_y=transpose_b",
    "BiasAdd": "nn.bias_add value bias",
    "BroadcastTo": "broadcast_to input shape",
    "Cast": "cast x DstT=dtype",
    "ClipByValue": "clip_by_value t clip_value_min clip_value_max",
    "ConcatV2": "concat *values axis",
    "Conv2D": "nn.conv2d input filters strides=strides padding=padding data_format=data_format dilations=dilations",
    "Cumprod": "math.cumprod x axis exclusive=exclusive reverse=reverse",
    "Cumsum": "math.cumsum x axis exclusive=exclusive reverse=reverse",
    "DepthToSpace": "nn.depth_to_space input block_size=block_size data_format=data_format",
    "DepthwiseConv2dNative": "nn.depthwise_conv2d input filters strides=strides padding=padding data_format=data_format "
    "dilations=dilations",
    "Einsum": "einsum *inputs equation=equation",
    "ExpandDims": "expand_dims input axis",
    "Fill": "fill dims value",
    "FloorDiv": "math.floordiv x y",
    "FloorMod": "math.floormod x y",
    "GatherV2": "gather params indices axis batch_dims=batch_dims",
    "LeakyRelu": "nn.leaky_relu features alpha=alpha",
    "MatMul": "linalg.matmul a b transpose_a=transpose_a transpose_b=transpose_b",
    "MatrixBandPart": "linalg.band_part input num_lower num_upper",
    "MatrixDiagPartV3": "linalg.diag_part input k padding_value",
    "MaxPool": "nn.max_pool input ksize=ksize strides=strides padding=padding data_format=data_format",
    "MirrorPad": "pad tensor paddings mode=mode",
    "OneHot": "one_hot indices depth on_value off_value axis=axis",
    "OnesLike": "ones_like input",
    "Pack": "stack *values axis=axis",
    "Pad": "pad tensor paddings",
    "PadV2": "pad tensor paddings constant_values",
    "Range": "range start limit delta",
    "Reshape": "reshape tensor shape",
    "ResizeBicubic": "image.resize images size align_corners=align_corners half_pixel_centers=half_pixel_centers "
    "method:bicubic",
    "ResizeBilinear": "image.resize images size align_corners=align_corners half_pixel_centers=half_pixel_centers "
    "method:bilinear",
    "ResizeNearestNeighbor": "image.resize images size align_corners=align_corners half_pixel_centers=half_pixel_centers "
    "method:nearest",
    "ReverseV2": "reverse tensor axis",
    "Roll": "roll input shift axis",
    "Select": "where condition x y",
    "SelectV2": "where condition x y",
    "Shape": "shape input out_type=out_type",
    "Slice": "slice input_ begin size",
    "SpaceToDepth": "nn.space_to_depth input block_size=block_size data_format=data_format",
    "Split": "split axis value num_split=num_or_size_splits",
    "SplitV": "split value num_or_size_splits axis",
    "Squeeze": "squeeze input squeeze_dims=axis",
    "StridedSlice": "strided_slice input_ begin end strides begin_mask=begin_mask end_mask=end_mask "
    "ellipsis_mask=ellipsis_mask new_axis_mask=new_axis_mask shrink_axis_mask=shrink_axis_mask",
    "Tile": "tile input multiples",
    "TopKV2": "math.top_k input k sorted=sorted",
    "Transpose": "transpose a perm",
    "Unpack": "unstack value num=num axis=axis",
    "ZerosLike": "zeros_like input",
    **{
        op: f"math.reduce_{op.lower()} input_tensor axis keep_dims=keepdims"
        for op in ("All", "Any", "Max", "Mean", "Min", "Prod", "Sum")
    },
    **{op: f"nn.{op.lower()} features" for op in ("Elu", "Relu", "Relu6", "Selu", "Softsign")},
    "LogSoftmax": "nn.log_softmax logits",
    "Softmax": "nn.softmax logits",
    **{
        op: f"math.{name} x y"
        for op, name in {
            "Add": "add", "Div": "divide", "DivNoNan": "divide_no_nan", "Equal": "equal", "Greater": "greater",
            "GreaterEqual": "greater_equal", "Less": "less", "LessEqual": "less_equal", "LogicalAnd": "logical_and",
            "LogicalOr": "logical_or", "Maximum": "maximum", "Minimum": "minimum", "Mul": "multiply", "NotEqual": "not_equal",
            "Pow": "pow", "RealDiv": "realdiv", "SquaredDifference": "squared_difference", "Sub": "subtract",
        }.items()
    },
    **{
        op: f"math.{name or op.lower()} x"
        for op, name in {
            "Acos": "", "Asin": "", "Asinh": "", "Atan": "", "Atanh": "", "Ceil": "", "Cos": "", "Cosh": "", "Erf": "",
            "Erfc": "", "Exp": "", "Expm1": "", "Floor": "", "IsFinite": "is_finite", "IsInf": "is_inf", "IsNan": "is_nan",
            "Log": "", "Log1p": "", "LogicalNot": "logical_not", "Neg": "negative", "Reciprocal": "", "Round": "", "Rsqrt": "",
            "Sigmoid": "", "Sign": "", "Sin": "", "Sinh": "", "Softplus": "", "Sqrt": "", "Square": "", "Tan": "", "Tanh": "",
            "Abs": "",
        }.items()
    },
    **dict.fromkeys(("Identity", "PreventGradient", "Snapshot"), "identity input"),
    "Conv2DBackpropInput": "nn.conv2d_transpose output_shape filters input strides=strides padding=padding "
    "data_format=data_format dilations=dilations",
    "IdentityN": "identity_n *input",
    "StopGradient": "stop_gradient input",
}  # fmt: skip
"""Op of a node -> function, the arguments that its inputs are (``*``: a list of them), ``attribute=argument``."""

_DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}


def operation(class_name: str, config: Config) -> Config:
    """The entry of the function that a layer of one of the ``LAYERS`` calls. Raises ValueError for an unknown one."""
    from nyala.ops import stored_functions

    name = config.get("name")
    if class_name in NODE_LAYERS:
        node = config.get("node_def")
        if not isinstance(node, Mapping) or node.get("op") not in _NODES:
            op = node.get("op") if isinstance(node, Mapping) else None
            _unknown(class_name, f"layer `{name}` is the op {op} of a graph", op, _NODES)
        function = _NODES[node["op"]].split()[0]
    else:
        function = config.get("function")
        if stored_functions.find(function) is None:
            _unknown(class_name, f"layer `{name}` is the function tf.{function}", function, stored_functions.FUNCTIONS)
    return {"class_name": "Stored", "module": "nyala.ops", "config": {"name": name, "function": function}}


def _unknown(class_name: str, what: str, wanted: Any, known: Mapping[str, Any]) -> NoReturn:
    near = check.nearest(wanted, known)
    check.fail(
        "load_model",
        f"{what}, which is not known here.{near if near.startswith(' Did') else ''} "
        f"Give a layer class for it as custom_objects={{{class_name!r}: ...}}",
    )


def call(class_name: str, config: Config, tensors: list[Any], kwargs: Config, flat: bool) -> Config:
    """``{args, kwargs}`` of the call with these tensors; ``flat``: the file gives one tensor, in no list."""
    if class_name in NODE_LAYERS:
        return {"args": [], "kwargs": _of_node(config, tensors)}
    function = config["function"]
    first = tensors[0] if len(tensors) == 1 and (flat or function not in _LISTS) else tensors
    kwargs = {k: [_slice(s) for s in v] if isinstance(v, list) else _slice(v) for k, v in kwargs.items()}
    return {"args": [first], "kwargs": kwargs}


def _slice(x: Any) -> Any:
    if isinstance(x, Mapping) and {"start", "stop", "step"} <= x.keys():
        return {"class_name": "__slice__", "config": dict(x)}
    return {**x, "config": {}} if isinstance(x, Mapping) and x.get("class_name") == "__ellipsis__" else x


def _of_node(config: Config, tensors: list[Any]) -> Config:
    """The arguments out of the node's inputs, constants and attributes."""
    node, constants = config["node_def"], config.get("constants") or {}
    count = sum(not str(name).startswith("^") for name in node.get("input", ()))
    rest = iter(tensors)
    values = [constants[str(i)] if str(i) in constants else next(rest, None) for i in range(count)]
    words = _NODES[node["op"]].split()[1:]
    inputs = [w for w in words if "=" not in w and ":" not in w]
    attributes = {k: _attribute(v) for k, v in (node.get("attr") or {}).items()}
    found: Config = {}
    for word in inputs:
        if word.startswith("*"):
            many = len(values) - len(inputs) + 1
            found[word[1:]], values = values[:many], values[many:]
        elif values:
            found[word] = values.pop(0)
    for word in words:
        name, is_attribute, argument = word.partition("=")
        if is_attribute and attributes.get(name) is not None and attributes[name] != []:
            found[argument] = attributes[name]
        elif ":" in word:
            argument, _, found[argument] = word.partition(":")
    return found


def _attribute(value: Any) -> Any:
    """A value of the JSON form of a protocol buffer ``AttrValue``: numbers are texts there, and texts base64."""
    kind: Any
    x: Any
    ((kind, x),) = value.items() if isinstance(value, Mapping) and len(value) == 1 else (("", None),)
    if kind == "list":
        return [_attribute({k: v}) for k, many in x.items() for v in many]
    if kind == "type":
        return _DTYPES.get(x, str(x).removeprefix("DT_").lower())
    if kind == "s":
        return base64.b64decode(x).decode("utf-8", "replace")
    return {"i": int, "f": float, "b": bool}.get(kind, lambda x: None)(x)


__all__ = ["LAYERS", "call", "operation"]
