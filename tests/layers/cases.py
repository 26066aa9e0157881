"""The table of layer configurations that the contract in ``test_contract.py`` sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One layer with its arguments and the inputs it is tried on.

    ``shape``: of the input, or a list of shapes. ``free``: axes besides the batch that may be unknown. ``high``: inputs
    are ints below it. ``train``: whether ``training=True`` is deterministic. ``mask``: how many leading axes the mask
    of each input has. ``half``: tolerance of ``mixed_float16`` against float32. ``spread``: the inputs are arguments, no list.
    """

    layer: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    shape: Any = (2, 5)
    free: tuple[int, ...] = ()
    high: int = 0
    train: bool = True
    mask: int = 0
    half: float = 2e-2
    spread: bool = False

    @property
    def id(self) -> str:
        sizes = ["x".join(map(str, s)) for s in self.shapes]
        return "-".join([self.layer, *(f"{k}={v}".replace(" ", "") for k, v in self.kwargs.items()), *sizes])

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return self.shape if isinstance(self.shape, list) else [self.shape]


def C(layer: str, shape: Any = (2, 5), *, opt: dict[str, Any] | None = None, **kwargs: Any) -> Case:
    return Case(layer, kwargs, shape, **(opt or {}))


SEQ, IMG, VOL = (2, 7, 4), (2, 6, 7, 4), (2, 5, 4, 6, 2)
TIME = (2, 4, 3)
IMG1, SEQ1, VOL1 = (2, 4, 6, 7), (2, 4, 7), (2, 2, 5, 4, 6)
FIRST = "channels_first"
T, S, V = {"free": (1,)}, {"free": (1, 2)}, {"free": (1, 2, 3)}
RANDOM = {"train": False}
PAIR = {"spread": True, "mask": 2}
HEADS, GROUPS = {"num_heads": 2, "key_dim": 3}, {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
THREE = [SEQ, (2, 3, 5), (2, 3, 2)]

CASES = [
    # core
    C("Dense", units=3),
    C("Dense", SEQ, units=3, activation="relu", use_bias=False, kernel_regularizer="l2", opt=T),
    C("Dense", units=3, activation="softmax", kernel_initializer="he_normal", bias_constraint="max_norm"),
    C("Dense", units=3, activity_regularizer="l1"),
    C("Dense", units=3, lora_rank=2),
    C("EinsumDense", equation="ab,bc->ac", output_shape=4, bias_axes="c", activation="tanh"),
    C("EinsumDense", SEQ, equation="abc,cde->abde", output_shape=(None, 3, 2), bias_axes="de", opt=T),
    C("EinsumDense", SEQ, equation="abc,cde->abde", output_shape=(None, 3, 2), bias_axes="d", opt=T),
    C("EinsumDense", SEQ, equation="abc,cd->abd", output_shape=(7, 3), bias_axes="bd"),
    C("EinsumDense", IMG, equation="...x,xy->...y", output_shape=3, bias_axes="y", opt=S),
    C("EinsumDense", IMG, equation="ab...,bc->ac...", output_shape=3, bias_axes="c"),
    C("EinsumDense", SEQ, equation="abc,cd->abd", output_shape=(None, 3), lora_rank=2, opt=T),
    C("Embedding", (2, 5), input_dim=6, output_dim=3, opt={"high": 6, "free": (1,)}),
    C("Embedding", (2, 5), input_dim=6, output_dim=3, mask_zero=True, lora_rank=2, opt={"high": 6, "mask": 2}),
    C("ReversibleEmbedding", input_dim=6, output_dim=3, opt={"high": 6, "free": (1,)}),
    C("Identity", SEQ, opt={"mask": 2}),
    C("Masking", SEQ, mask_value=0.5, opt={"mask": 2, **T}),
    # activation
    C("Activation", activation="gelu", opt={"mask": 1}),
    C("Activation", activation=None),
    C("ReLU", max_value=0.5, negative_slope=0.1, threshold=0.2),
    C("ReLU"),
    C("LeakyReLU"),
    C("PReLU", IMG),
    C("PReLU", IMG, shared_axes=[1, 2], alpha_initializer="ones", opt=S),
    C("ELU", alpha=0.7),
    C("Softmax", SEQ, opt={"mask": 3, **T}),
    C("Softmax", SEQ, axis=(1, 2)),
    C("Softmax", SEQ, axis=1),
    # convolution
    C("Conv1D", SEQ, filters=3, kernel_size=3, opt=T),
    C("Conv1D", SEQ, filters=3, kernel_size=3, padding="causal", dilation_rate=2, activation="relu", opt=T),
    C("Conv1D", SEQ1, filters=3, kernel_size=2, padding="causal", data_format=FIRST),
    C("Conv1D", SEQ, filters=4, kernel_size=2, padding="same", groups=2, strides=2, use_bias=False),
    C("Conv2D", IMG, filters=3, kernel_size=3, opt=S),
    C("Conv2D", IMG, filters=3, kernel_size=(3, 2), strides=(2, 1), padding="same", activation="tanh", opt=S),
    C("Conv2D", IMG, filters=4, kernel_size=2, dilation_rate=2, groups=2, kernel_regularizer="l1"),
    C("Conv2D", IMG1, filters=3, kernel_size=(2, 3), strides=2, data_format=FIRST),
    C("Conv3D", VOL, filters=3, kernel_size=(2, 1, 3), padding="same", strides=(1, 2, 1), opt=V),
    C("Conv3D", VOL1, filters=2, kernel_size=2, data_format=FIRST),
    C("DepthwiseConv1D", SEQ, kernel_size=3, depth_multiplier=2, padding="same", opt=T),
    C("DepthwiseConv2D", IMG, kernel_size=(3, 2), strides=2, opt=S),
    C("DepthwiseConv2D", IMG, kernel_size=2, depth_multiplier=3, dilation_rate=2, depthwise_regularizer="l2"),
    C("DepthwiseConv2D", IMG1, kernel_size=2, data_format=FIRST, use_bias=False),
    C("SeparableConv1D", SEQ, filters=3, kernel_size=3, depth_multiplier=2, opt=T),
    C("SeparableConv2D", IMG, filters=3, kernel_size=2, strides=2, padding="same", opt=S),
    C("SeparableConv2D", IMG1, filters=3, kernel_size=2, data_format=FIRST, activation="relu"),
    C("Conv1DTranspose", SEQ, filters=3, kernel_size=3, strides=2, opt=T),
    C("Conv1DTranspose", SEQ, filters=3, kernel_size=2, strides=3, padding="same", output_padding=2),
    C("Conv2DTranspose", IMG, filters=3, kernel_size=3, strides=2, padding="same", opt=S),
    C("Conv2DTranspose", IMG, filters=3, kernel_size=3, strides=2, padding="same", output_padding=1),
    C("Conv2DTranspose", IMG, filters=3, kernel_size=(2, 3), dilation_rate=2, activation="relu"),
    C("Conv2DTranspose", IMG1, filters=3, kernel_size=3, strides=(2, 3), output_padding=1, data_format=FIRST),
    C("Conv3DTranspose", VOL, filters=3, kernel_size=2, strides=(1, 2, 1), opt=V),
    # pooling
    *(
        C(f"{kind}Pooling{n}D", shape, pool_size=2, opt=opt)
        for kind in ("Max", "Average")
        for n, shape, opt in ((1, SEQ, T), (2, IMG, S), (3, VOL, V))
    ),
    *(
        C(f"{kind}Pooling{n}D", shape, pool_size=3, strides=2, padding="same", data_format=df)
        for kind in ("Max", "Average")
        for n, shape, df in ((1, SEQ1, FIRST), (2, IMG, None), (2, IMG1, FIRST), (3, VOL, None))
    ),
    C("MaxPooling2D", IMG, pool_size=(2, 3), strides=(1, 2), opt=S),
    *(
        C(f"Global{kind}Pooling{n}D", shape, opt=opt)
        for kind in ("Max", "Average")
        for n, shape, opt in ((1, SEQ, T), (2, IMG, S), (3, VOL, V))
    ),
    *(
        C(f"Global{kind}Pooling{n}D", shape, keepdims=True, data_format=FIRST)
        for kind in ("Max", "Average")
        for n, shape in ((1, SEQ1), (2, IMG1))
    ),
    C("GlobalAveragePooling1D", SEQ, keepdims=True, opt={"mask": 2}),
    *(
        C(f"Adaptive{kind}Pooling{n}D", shape, output_size=size, opt={})
        for kind in ("Max", "Average")
        for n, shape, size in ((1, SEQ, 3), (2, IMG, (2, 3)), (3, VOL, 2))
    ),
    C("AdaptiveAveragePooling2D", IMG1, output_size=2, data_format=FIRST),
    # reshaping
    C("Flatten", IMG),
    C("Flatten", (3,)),
    C("Flatten", IMG1, data_format=FIRST),
    C("Reshape", SEQ, target_shape=(4, 7)),
    C("Reshape", SEQ, target_shape=(2, -1)),
    C("Permute", IMG, dims=(3, 1, 2), opt=S),
    C("RepeatVector", n=3),
    C("ZeroPadding1D", SEQ, padding=(1, 2), opt=T),
    C("ZeroPadding1D", SEQ1, padding=1, data_format=FIRST),
    C("ZeroPadding2D", IMG, padding=((1, 0), (2, 3)), opt=S),
    C("ZeroPadding2D", IMG1, padding=(1, 2), data_format=FIRST),
    C("ZeroPadding3D", VOL, padding=1, opt=V),
    C("Cropping1D", SEQ, cropping=(1, 2), opt=T),
    C("Cropping2D", IMG, cropping=((1, 0), (0, 2)), opt=S),
    C("Cropping2D", IMG1, cropping=1, data_format=FIRST),
    C("Cropping3D", VOL, cropping=1, opt=V),
    C("UpSampling1D", SEQ, size=3, opt=T),
    C("UpSampling2D", IMG, size=(2, 3), opt=S),
    C("UpSampling2D", IMG, size=2, interpolation="bilinear"),
    C("UpSampling2D", IMG1, size=2, data_format=FIRST),
    C("UpSampling3D", VOL, size=2, opt=V),
    # normalization
    C("BatchNormalization", opt={"half": 3e-2}),
    C("BatchNormalization", IMG, momentum=0.8, epsilon=1e-2, opt=S),
    C("BatchNormalization", IMG1, axis=1, center=False),
    C("BatchNormalization", SEQ, scale=False, gamma_regularizer="l2", opt={"mask": 2, **T}),
    C("BatchNormalization", SEQ, renorm=True, momentum=0.8, renorm_momentum=0.7, opt={"half": 4e-2, **T}),
    C("BatchNormalization", renorm=True, renorm_clipping={"rmax": 1.1, "rmin": 0.9, "dmax": 0.1}, scale=False),
    C("LayerNormalization", SEQ, opt=T),
    C("LayerNormalization", IMG, axis=(1, 3), center=False),
    C("LayerNormalization", SEQ, axis=1, scale=False, epsilon=1e-2),
    C("LayerNormalization", SEQ, rms_scaling=True),
    C("GroupNormalization", IMG, groups=2, opt=S),
    C("GroupNormalization", IMG1, groups=-1, axis=1),
    C("GroupNormalization", SEQ, groups=1, center=False, scale=False),
    C("UnitNormalization", SEQ, opt=T),
    C("UnitNormalization", SEQ, axis=[1, 2]),
    C("RMSNormalization", SEQ, opt=T),
    C("RMSNormalization", SEQ, axis=(1, 2), epsilon=1e-3),
    # regularization
    C("Dropout", SEQ, rate=0.4, seed=1, opt=RANDOM | {"mask": 2}),
    C("Dropout", SEQ, rate=0.0, noise_shape=(None, 1, 4)),
    C("SpatialDropout1D", SEQ, rate=0.4, opt=RANDOM),
    C("SpatialDropout2D", IMG, rate=0.4, data_format=FIRST, opt=RANDOM),
    C("SpatialDropout3D", VOL, rate=0.4, opt=RANDOM),
    C("GaussianNoise", SEQ, stddev=0.4, opt=RANDOM),
    C("GaussianDropout", SEQ, rate=0.4, opt=RANDOM),
    C("AlphaDropout", SEQ, rate=0.4, opt=RANDOM),
    C("ActivityRegularization", SEQ, l1=0.1, l2=0.2),
    # merging
    *(
        C(name, [SEQ, SEQ], opt={"mask": 2, **T})
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    ),
    C("Add", [SEQ, SEQ, SEQ]),
    C("Multiply", [(2, 4), SEQ]),
    C("Maximum", [(2, 7, 1), (2, 1, 4)]),
    C("Concatenate", [SEQ, (2, 3, 4)], axis=1, opt={"mask": 2}),
    C("Dot", [(2, 5), (2, 5)], axes=1),
    C("Dot", [SEQ, (2, 3, 4)], axes=-1, normalize=True),
    C("Dot", [SEQ, (2, 4, 3)], axes=(2, 1), opt={"mask": 2}),
    C("Dot", [IMG, (2, 7, 3)], axes=(2, 1)),
    # recurrent
    C("SimpleRNN", TIME, units=2, opt=T),
    C("SimpleRNN", TIME, units=2, activation="relu", return_sequences=True, go_backwards=True, opt={"mask": 2}),
    C("LSTM", TIME, units=2, opt={"mask": 2, **T}),
    C("LSTM", TIME, units=2, return_sequences=True, activation="relu", recurrent_regularizer="l2", unroll=True),
    C("LSTM", TIME, units=2, use_bias=False, unit_forget_bias=False, return_sequences=True, opt=T),
    C("GRU", TIME, units=2, return_sequences=True, bias_constraint="max_norm", opt={"mask": 2, **T}),
    C("GRU", TIME, units=2, reset_after=False, activity_regularizer="l2"),
    C("GRU", TIME, units=2, recurrent_activation="hard_sigmoid", go_backwards=True),
    C("ConvLSTM1D", (2, 3, 4, 2), filters=2, kernel_size=2, return_sequences=True, opt={"mask": 2, **T}),
    C("ConvLSTM2D", (2, 2, 3, 4, 2), filters=2, kernel_size=2, padding="same", strides=(1, 2)),
    C("ConvLSTM2D", (2, 2, 2, 4, 3), filters=1, kernel_size=2, data_format=FIRST, unit_forget_bias=False),
    C("ConvLSTM3D", (2, 2, 3, 2, 2, 1), filters=1, kernel_size=2, go_backwards=True),
    # attention
    C("MultiHeadAttention", [SEQ, (2, 3, 4)], **HEADS, opt=PAIR | T),
    C("MultiHeadAttention", THREE, **HEADS, use_gate=True, output_shape=(3, 2), opt={"spread": True}),
    C("MultiHeadAttention", [SEQ, SEQ], **HEADS, activity_regularizer="l2", use_gate=True, sliding_window=2, opt=PAIR),
    C(
        "MultiHeadAttention",
        [(2, 3, 4, 2), (2, 5, 4, 2)],
        **HEADS,
        attention_axes=1,
        dropout=0.5,
        opt=PAIR | RANDOM | S,
    ),
    C("MultiHeadAttention", [(2, 3, 2, 4)] * 2, **HEADS, use_bias=False, kernel_regularizer="l1", opt=PAIR),
    C("GroupQueryAttention", [SEQ, (2, 3, 4)], **GROUPS, opt=PAIR | T),
    C("GroupQueryAttention", [SEQ, SEQ, (2, 7, 2)], **GROUPS, sliding_window=2, use_gate=True, opt={"spread": True}),
    C("GroupQueryAttention", [SEQ, SEQ], **GROUPS, activity_regularizer="l1", seed=1, dropout=0.3, opt=PAIR | RANDOM),
    C("Attention", [SEQ, (2, 3, 4)], opt={"mask": 2, **T}),
    C("Attention", [SEQ, (2, 3, 4), (2, 3, 4)], use_scale=True, score_mode="concat", seed=3, dropout=0.2, opt=RANDOM),
    C("AdditiveAttention", [SEQ, (2, 3, 4)], opt={"mask": 2, **T}),
    C("AdditiveAttention", [SEQ, SEQ], use_scale=False, dropout=0.1, opt=RANDOM),
    # data
    C("Rescaling", IMG, scale=0.5, offset=-1.0, opt=S),
    C("Rescaling", IMG, scale=[1.0, 2.0, 3.0, 4.0], offset=[0.0, 1.0, 0.0, 1.0]),
    C("Rescaling", IMG, scale=1 / 255, opt={"high": 256}),
]
