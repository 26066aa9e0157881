"""Quantized and adapted layers: weights, configs, files and outputs are Keras's for the same floats."""

from __future__ import annotations

import copy
import functools
import pickle
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala import layers, ops
from nyala.quantizers import calibrated

RNG = np.random.default_rng(0)
VECTORS, INDICES = RNG.normal(size=(2, 4, 8)).astype("float32"), RNG.integers(0, 6, (2, 4))

LAYERS: dict[str, Any] = {
    "dense": (lambda m: m.layers.Dense(3, activation="relu", name="d"), VECTORS[0]),
    "split": (lambda m: m.layers.EinsumDense("btd,ndh->btnh", (4, 2, 3), bias_axes="nh", name="d"), VECTORS),
    "join": (lambda m: m.layers.EinsumDense("abde,dec->abc", (4, 8), name="d"), VECTORS.reshape(2, 4, 2, 4)),
    "turned": (lambda m: m.layers.EinsumDense("ab,bcd->adc", (3, 2), name="d"), VECTORS[0]),
    "table": (lambda m: m.layers.Embedding(6, 8, name="d"), INDICES),
    "tied": (lambda m: m.layers.ReversibleEmbedding(6, 8, name="d"), INDICES),
    "untied": (lambda m: m.layers.ReversibleEmbedding(6, 8, tie_weights=False, name="d"), INDICES),
}
CONFIGS: dict[str, Any] = {
    "int8": lambda q: q.Int8QuantizationConfig(),
    "int8, float inputs": lambda q: q.Int8QuantizationConfig(activation_quantizer=None),
    "int8, coarse": lambda q: q.Int8QuantizationConfig(
        q.AbsMaxQuantizer(axis=0, value_range=(-10, 10)), q.AbsMaxQuantizer(axis=-1, value_range=(-20, 20))
    ),
    "int4": lambda q: q.Int4QuantizationConfig(),
    "int4, blocks": lambda q: q.Int4QuantizationConfig(block_size=3),
    "int4, columns": lambda q: q.Int4QuantizationConfig(block_size=None),
    "int4, int inputs": lambda q: q.Int4QuantizationConfig(
        activation_quantizer=q.AbsMaxQuantizer(axis=-1), block_size=None
    ),
    "float8": lambda q: q.Float8QuantizationConfig(),
}
# Most of the time goes into Keras's and JAX's compiling of single ops.
QUICK = [("dense", "int8", "before"), ("table", "int4, blocks", "after")]
ROWS = [
    *(("dense", c, lora) for c in CONFIGS for lora in ("", "before", "after") if not (lora and c in ("float8", "int8, coarse"))),
    ("dense", "", "after"), ("split", "", "after"), ("table", "", "after"), ("tied", "", "after"),
    ("split", "int8", "before"), ("split", "int8, float inputs", ""), ("split", "int4", "after"), ("split", "int4, int inputs", ""),
    ("split", "float8", ""), ("join", "int8", "after"), ("join", "int4, blocks", ""), ("turned", "int8", ""), ("turned", "int4", ""),
    ("table", "int8", "before"), ("table", "int4, blocks", "after"), ("table", "int4, columns", ""),
    ("tied", "int8", ""), ("tied", "int8, float inputs", ""), ("tied", "int4", ""), ("tied", "int4, columns", ""),
    ("untied", "int8", "after"), ("untied", "int4, blocks", ""), ("untied", "int4, columns", ""),
]  # fmt: skip
CASES = [*QUICK, *(pytest.param(*row, marks=pytest.mark.long) for row in ROWS if row not in QUICK)]


def array(x: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


def _made(module: Any, layer: str, config: str, lora: str) -> Any:
    """The layer on fixed floats (biases of float8, which Keras rounds, are 0), quantized and adapted in that order."""
    make, x = LAYERS[layer]
    made = make(module)
    made.build(x.shape)
    rng = np.random.default_rng(1)
    values = [rng.normal(size=tuple(w.shape)).astype("float32") for w in made.weights]
    made.set_weights([v * (config != "float8" or w.name == "kernel") for v, w in zip(values, made.weights)])
    if lora == "before":
        made.enable_lora(2, lora_alpha=3.0)
    if config:
        made.quantize(config=CONFIGS[config](module.quantizers))
    if lora == "after":
        made.enable_lora(2)
    for w in made.weights:
        if "lora" in w.name:
            w.assign(rng.normal(size=tuple(w.shape)).astype("float32"))
    return made


def _looks(layer: Any) -> dict[str, Any]:
    store: dict[str, Any] = {}
    layer.save_own_variables(store) if hasattr(layer, "save_own_variables") else None
    return {
        "name": type(layer).__name__,
        "weights": [(v.name, v.path, tuple(v.shape), v.dtype, v.trainable) for v in layer.weights],
        "policy": layer.dtype_policy.name,
        "config": str(layer.get_config()),
        "file": [(k, np.asarray(v)) for k, v in store.items()],
    }


@functools.cache
def _theirs(layer: str, config: str, lora: str) -> tuple[dict[str, Any], list[np.ndarray], np.ndarray, Any]:
    made = _made(keras, layer, config, lora)
    x = LAYERS[layer][1]
    # Keras's quantized tables leave LoRA out on the way back.
    back = np.asarray(made(VECTORS, reverse=True)) if layer in ("tied", "untied") else None
    return _looks(made), [np.asarray(v.value) for v in made.weights], np.asarray(made(x)), back


@pytest.mark.parametrize(("layer", "config", "lora"), CASES)
def test_as_keras(backend: str, layer: str, config: str, lora: str) -> None:
    looks, weights, y, back = _theirs(layer, config, lora)
    ours = _made(nyala, layer, config, lora)
    mine = _looks(ours)
    for (_, stored), (_, value) in zip(mine.pop("file"), looks["file"]):
        assert stored.dtype == value.dtype
        np.testing.assert_allclose(stored.astype("float32"), value.astype("float32"), rtol=1e-5, atol=1e-6)
    assert mine == {k: v for k, v in looks.items() if k != "file"}
    for got, value in zip(ours.get_weights(), weights):
        np.testing.assert_allclose(got.astype("float32"), value.astype("float32"), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(array(ours(LAYERS[layer][1])), y, rtol=1e-5, atol=2e-5)
    if back is not None:
        np.testing.assert_allclose(array(ours(VECTORS, reverse=True)), back, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("layer", "mode"), [("tied", "int8"), ("table", "int4")])
def test_lora_of_a_quantized_table_counts_both_ways(backend: str, layer: str, mode: str) -> None:
    made = _made(nyala, layer, mode, "after")
    whole = array(made.embeddings)
    np.testing.assert_allclose(array(made(INDICES)), whole[INDICES], rtol=1e-4, atol=1e-4)
    if layer == "tied":
        np.testing.assert_allclose(array(made(VECTORS, reverse=True)), VECTORS @ whole.T, atol=0.4)


def _model(module: Any) -> Any:
    i = module.Input((6,), dtype="int32")
    x = module.layers.Flatten()(module.layers.Embedding(10, 4, name="table")(i))
    x = module.layers.Dense(5, activation="relu", name="hidden_a")(x)
    return module.Model(i, module.layers.Dense(3, name="out")(x))


X, Y = RNG.integers(0, 10, (8, 6)).astype("int32"), RNG.normal(size=(8, 3)).astype("float32")


@functools.cache
def _trained(mode: str) -> tuple[list[np.ndarray], list[np.ndarray], list[float], list[np.ndarray], bytes, np.ndarray]:
    """What Keras makes of the model: floats, adapted weights, losses, weights after training; its file and outputs."""
    model = _model(keras)
    floats = model.get_weights()
    _prepare(model, mode)
    begun = [np.asarray(v.value) for v in model.weights]
    model.compile("sgd", "mse")
    losses = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/m.keras")
        file = Path(folder, "m.keras").read_bytes()
    return floats, begun, losses, [np.asarray(v.value) for v in model.weights], file, np.asarray(model(X))


def _prepare(model: Any, mode: str) -> None:
    model.quantize(mode.split("+")[0])
    if mode.endswith("lora"):
        model.get_layer("hidden_a").enable_lora(2)


@pytest.mark.parametrize("mode", ["int8+lora", pytest.param("float8", marks=pytest.mark.long)])
def test_training_and_files(backend: str, mode: str, tmp_path: Path) -> None:
    floats, begun, losses, after, file, y = _trained(mode)
    model = _model(nyala)
    model.set_weights(floats)
    model.predict(X, verbose=0)  # a step compiled for floats is not used again
    _prepare(model, mode)
    model.set_weights(begun)
    model.compile("sgd", "mse")
    np.testing.assert_allclose(model.fit(X, Y, epochs=3, verbose=0).history["loss"], losses, rtol=1e-4)
    for ours, theirs in zip(model.get_weights(), after):
        np.testing.assert_allclose(ours.astype("float32"), theirs.astype("float32"), rtol=1e-3, atol=1e-4)
    (tmp_path / "keras.keras").write_bytes(file)
    loaded = nyala.models.load_model(tmp_path / "keras.keras")
    tolerance = 0.02 if mode == "int8+lora" else 1e-4  # a file holds the sum, rounded again
    np.testing.assert_allclose(loaded.predict(X, verbose=0), y, atol=tolerance)
    model.save(tmp_path / "ours.keras")
    if mode == "int8+lora":
        np.testing.assert_allclose(np.asarray(keras.models.load_model(tmp_path / "ours.keras")(X)), y, atol=tolerance)
    again = nyala.models.load_model(tmp_path / "ours.keras")
    assert [type(x) for x in again.layers] == [type(x) for x in model.layers]
    for other in (again, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_allclose(other.predict(X, verbose=0), y, atol=tolerance)


@pytest.mark.parametrize(
    ("filters", "chosen"),
    [("hidden", ["hidden_a"]), (["tab", "out$"], ["table", "out"]), (lambda x: x.name == "out", ["out"])],
)
def test_filters(filters: Any, chosen: list[str]) -> None:
    model = _model(nyala)
    model.quantize("int8", filters=filters)
    assert [x.name for x in model.layers if x.quantization_mode == "int8"] == chosen


class Twice(nyala.layers.Dense):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs) * 2


def test_a_subclass_is_quantized_when_asked() -> None:
    layer = Twice(3)
    layer.build((2, 8))
    before = array(layer(VECTORS[0]))
    with pytest.raises(NotImplementedError, match="only quantized with type_check=False"):
        layer.quantize("int8")
    layer.quantize("int8", type_check=False)
    assert isinstance(layer, Twice) and type(layer).__name__ == "Twice"
    np.testing.assert_allclose(array(layer(VECTORS[0])), before, atol=0.1)
    copied = pickle.loads(pickle.dumps(layer))
    np.testing.assert_array_equal(array(copied(VECTORS[0])), array(layer(VECTORS[0])))


def _built(**kwargs: Any) -> Any:
    layer = nyala.layers.Dense(3, **kwargs)
    layer.build((2, 8))
    return layer


def _float_again() -> None:
    _built(dtype="int8_from_float32").dtype_policy = "float32"


def _unfit() -> None:
    _built(dtype="int8_from_float32").load_own_variables({"0": np.zeros((8, 3))})


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: nyala.layers.Dense(3).quantize("int8"), ValueError, "quantize needs a built layer"),
        (lambda: _built().quantize("int2"), ValueError, "mode must be one of 'int8'"),
        (lambda: _built().quantize(), ValueError, "takes a mode"),
        (lambda: _built(dtype="int8_from_float32").quantize("int8"), ValueError, "is quantized already"),
        (lambda: _built().quantize("int4", config=nyala.quantizers.Int8QuantizationConfig()), ValueError, "pass one"),
        (lambda: _built(dtype="float16").quantize("int8"), ValueError, "int8 does not go with"),
        (lambda: _built().quantize("gptq"), ValueError, "needs data to calibrate with"),
        (lambda: nyala.layers.Dropout(0.1).quantize("int8"), ValueError, "needs a built layer"),
        (lambda: _model(nyala).quantize("int8", filters="nothing"), ValueError, "no layer to quantize"),
        (lambda: nyala.Sequential([nyala.layers.Dense(3)]).quantize("int8"), ValueError, "needs a built layer"),
        (_float_again, ValueError, "no floats to go back to"),
        (_unfit, ValueError, "has the weights kernel, bias, kernel_scale"),
        (lambda: nyala.quantizers.Int4QuantizationConfig(nyala.quantizers.AbsMaxQuantizer()), ValueError, "no quantizers"),
        (lambda: nyala.quantizers.AWQConfig([], None, weight_bits=3), ValueError, "weight_bits must be one of 4"),
    ],
)  # fmt: skip
def test_errors(act: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        act()


@pytest.mark.long
def test_attention_in_a_file(tmp_path: Path) -> None:
    """Its projections are made by the layer itself, so its policy says which are quantized. Keras reads that, too."""
    i = nyala.Input((4, 8))
    model = nyala.Model(i, nyala.layers.MultiHeadAttention(2, 4, name="attention")(i, i))
    before = model.predict(VECTORS, verbose=0)
    model.quantize("int8")
    y = model.predict(VECTORS, verbose=0)
    np.testing.assert_allclose(y, before, atol=0.05)
    model.save(tmp_path / "m.keras")
    again = nyala.models.load_model(tmp_path / "m.keras")
    assert sum(x.quantization_mode == "int8" for x in again._flatten_layers()) == 4
    np.testing.assert_array_equal(again.predict(VECTORS, verbose=0), y)
    np.testing.assert_allclose(np.asarray(keras.models.load_model(tmp_path / "m.keras")(VECTORS)), y, atol=1e-5)


# -- by data -------------------------------------------------------------------------------------------------------------


def test_calibrated_weights() -> None:
    """What data say of the inputs makes the products' error smaller than rounding alone."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 48)) @ rng.normal(size=(48, 48)) * np.exp(rng.normal(size=48))
    x[:, 7] = 0
    w, moments = rng.normal(size=(20, 48)), x.T @ x / len(x)

    def error(found: calibrated.Grouped) -> float:
        return float(np.linalg.norm(x @ (found.floats() - w).T) / np.linalg.norm(x @ w.T))

    for bits, size in ((2, 8), (3, -1), (4, 5), (8, 8)):
        plain = error(calibrated.awq(w, moments, abs(x).mean(0), bits, size, 1))
        scaled = error(calibrated.awq(w, moments, abs(x).mean(0), bits, size, 20))
        one = calibrated.gptq(w, moments, bits, size)
        ordered = calibrated.gptq(w, moments, bits, size, activation_order=True)
        assert scaled < 0.9 * plain and error(one) < 1.03 * plain and error(ordered) < 0.8 * plain
        assert one.ints.min() >= 0 and one.ints.max() < 2**bits
        assert one.scales.shape == one.zeros.shape == (20, -(-48 // (48 if size == -1 else size)))
    even = calibrated.gptq(w, moments, 4, 8, symmetric=True, per_channel=False)
    assert (even.zeros == 8).all() and (even.scales == even.scales[0]).all()


def _blocks() -> Any:
    nyala.utils.set_random_seed(0)
    tokens, table = nyala.Input((8,), dtype="int32"), layers.Embedding(32, 16)
    a = nyala.Input((None, 16))
    b = layers.EinsumDense("abc,cd->abd", (None, 16), name="down")(layers.Dense(24, "relu", name="up")(a))
    block = nyala.Model(a, layers.Add()([a, b]))
    return nyala.Model(tokens, layers.Dense(32, name="head")(block(table(tokens)))), table, [block]


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ("GPTQConfig", {}),
        ("GPTQConfig", {"weight_bits": 8, "group_size": -1, "activation_order": True}),
        ("AWQConfig", {}),
    ],
)
def test_quantized_by_data(backend: str, config: str, options: dict[str, Any], tmp_path: Path) -> None:
    texts = ["".join(chr(97 + (i * j) % 26) for j in range(12)) for i in range(4)]
    model, table, blocks = _blocks()
    x = np.arange(40).reshape(5, 8) % 26
    before = model.predict(x, verbose=0)
    structure = {"pre_block_layers": [table], "sequential_blocks": blocks}
    options = {"num_samples": 4, "sequence_length": 8, "group_size": 8, **options}
    made = getattr(nyala.quantizers, config)(texts, lambda t: [ord(c) - 97 for c in t], **options, quantization_layer_structure=structure)  # fmt: skip
    model.quantize(config=made)
    after = model.predict(x, verbose=0)
    assert 0 < np.abs(after - before).mean() / np.abs(before).mean() < 0.15
    up, head = blocks[0].get_layer("up"), model.get_layer("head")
    assert up.dtype_policy.name.startswith(made.dtype_policy_string()) and head.dtype_policy.name == "float32"
    assert up.weights[1].dtype == "uint8" and up.weights[1].shape == (24 if "weight_bits" in options else 12, 16)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(nyala.saving.load_model(tmp_path / "m.keras").predict(x, verbose=0), after)


def test_quantizing_by_data_says_what_it_needs() -> None:
    model, table, blocks = _blocks()
    config = nyala.quantizers.GPTQConfig(["abc"], None)
    with pytest.raises(ValueError, match="sequential_blocks"):
        model.quantize(config=config)
    config.quantization_layer_structure = {"pre_block_layers": [table], "sequential_blocks": blocks}
    with pytest.raises(ValueError, match="a tokenizer"):
        model.quantize(config=config)
    config.dataset = [np.arange(5)]
    with pytest.raises(ValueError, match="5 tokens, fewer than sequence_length=512"):
        model.quantize(config=config)
    with pytest.raises(NotImplementedError, match=r"model\.quantize"):
        blocks[0].get_layer("up").quantize(config=config)
