"""``model.export`` and ``ExportArchive``: what was written gives, read by the library it is for, what the model gives."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala import layers
from nyala.export import ExportArchive

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
N = np.arange(10, dtype="int32").reshape(5, 2)


def model() -> Any:
    a, n = nyala.Input((3,), name="a"), nyala.Input((2,), name="n", dtype="int32")
    x = layers.Concatenate()([a, layers.Rescaling(0.1)(n)])
    x = layers.Dropout(0.5)(layers.Dense(4, activation="relu")(x))
    return nyala.Model([a, n], [layers.Dense(1, name="p")(x), layers.Dense(2, name="q")(x)])


def small() -> Any:
    return nyala.Sequential([nyala.Input((3,), name="x"), layers.Dense(2)])


def test_saved_model(backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tensorflow as tf

    m = model()
    want = m.predict([X, N], verbose=0)
    storages = [v._storage for v in m.variables]
    m.export(tmp_path / "m")
    assert (
        "serve(a: float32 (None, 3), n: int32 (None, 2)) -> float32 (None, 1), float32 (None, 2)"
        in capsys.readouterr().out
    )
    assert all(v._storage is s and v.backend.name == backend for v, s in zip(m.variables, storages))
    np.testing.assert_array_equal(m.predict([X, N], verbose=0)[1], want[1])

    loaded = tf.saved_model.load(str(tmp_path / "m"))
    for got, w in zip(loaded.serve([X, N]), want):
        np.testing.assert_allclose(got, w, atol=1e-6)
    assert set(loaded.signatures) == {"serve", "serving_default"}
    signature = loaded.signatures["serving_default"]
    assert set(signature.structured_input_signature[1]) == {"a", "n"}
    assert set(signature.structured_outputs) == {"output_0", "output_1"}  # as Keras names them
    np.testing.assert_allclose(signature(a=X[:2], n=N[:2])["output_1"], want[1][:2], atol=1e-6)
    counts = len(loaded.variables), len(loaded.trainable_variables), len(loaded.non_trainable_variables)
    assert counts == (7, 6, 1)  # the seed is a variable, too


def test_tfsm_layer(tmp_path: Path) -> None:
    """The folder as a layer, to be trained on; from jax it holds the gradient of jax's own code."""
    with nyala.backend_scope("jax"):
        m = small()
        m.export(tmp_path, verbose=False)
        want = m.predict(X, verbose=0)
    with nyala.backend_scope("tensorflow"):
        layer = layers.TFSMLayer(tmp_path)
        np.testing.assert_allclose(layer(X), want, atol=1e-6)
        whole = nyala.Sequential([nyala.Input((3,)), layer])
        whole.compile("sgd", "mse")
        losses = whole.fit(X, 0 * X[:, :2], epochs=3, verbose=0).history["loss"]
        assert losses[2] < losses[0]


class Noisy(nyala.Model):
    def __init__(self) -> None:
        super().__init__()
        self.drop = layers.Dropout(0.5, seed=1)
        self.seen = self.add_weight(name="seen", initializer="zeros", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.seen.assign_add(1)
        return self.drop(x, training=training)


def test_endpoints(backend: str, tmp_path: Path) -> None:
    import tensorflow as tf

    m = Noisy()
    m(X)
    archive = ExportArchive()
    with pytest.raises(ValueError, match="no endpoint yet"):
        archive.write_out(tmp_path)
    archive.track(m)
    signature = [nyala.InputSpec(shape=(None, 3), dtype="float32")]
    archive.add_endpoint("plain", lambda x: m(x, training=False), signature)
    archive.add_endpoint("noisy", lambda x: m(x, training=True), signature)
    archive.add_variable_collection("counters", [m.seen])
    for name, given, error in (
        ("plain", signature, "already"), ("no name", signature, "identifier"), ("z", None, "needs an input_signature"),
        ("z", [nyala.InputSpec(shape=(3,))], "a shape and a dtype"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=error):
            archive.add_endpoint(name, m, given)
    with pytest.raises(ValueError, match="track takes"):
        archive.track(3)
    with pytest.raises(ValueError, match="must be a list, tuple or set of variables"):
        archive.add_variable_collection("c", [3])  # pyright: ignore[reportArgumentType]
    assert [v.name for v in archive.variables] == ["seen", "seed_generator_state"] and not archive.trainable_variables
    archive.write_out(tmp_path / "a", verbose=False)

    loaded = tf.saved_model.load(str(tmp_path / "a"))
    np.testing.assert_array_equal(loaded.plain(X), X)
    first, second = loaded.noisy(X).numpy(), loaded.noisy(X).numpy()
    assert (first == 0).any() and (first != second).any()
    assert float(loaded.counters[0]) == 2  # what an endpoint assigns stays
    assert m.seen.numpy() == 0


def test_torch_program(backend: str, tmp_path: Path) -> None:
    import torch

    m = small()
    m.export(tmp_path / "m.pt2", format="torch", verbose=False)
    program = torch.export.load(str(tmp_path / "m.pt2")).module()
    np.testing.assert_allclose(program(torch.tensor(X)).detach(), m.predict(X, verbose=0), atol=1e-6)
    assert m.layers[0].kernel.backend.name == backend


def test_recurrent_torch_program(tmp_path: Path) -> None:
    """torch writes the steps of a loop out, so their number must be known; the kernels and the mask are those of a call."""
    import torch

    ids = np.array([[1, 2, 0], [3, 1, 2]], "int32")
    with nyala.backend_scope("torch"):
        m = nyala.Sequential(
            [nyala.Input((None,), dtype="int32"), layers.Embedding(4, 2, mask_zero=True), layers.LSTM(2)]
        )
        with pytest.raises(ValueError, match=r"one size of axis 1 .* input_signature"):
            m.export(tmp_path / "m.pt2", format="torch")
        assert not list(tmp_path.iterdir())
        signature = [nyala.InputSpec(shape=(None, 3), dtype="int32")]
        m.export(tmp_path / "m.pt2", format="torch", input_signature=signature, verbose=False)
        program = torch.export.load(str(tmp_path / "m.pt2")).module()
        np.testing.assert_allclose(program(torch.tensor(ids)).detach(), m.predict(ids, verbose=0), atol=1e-6)


def test_litert(tmp_path: Path) -> None:
    import tensorflow as tf

    with nyala.backend_scope("jax"):
        m = small()
        m.export(tmp_path / "m.tflite", format="litert", verbose=False, optimizations=[tf.lite.Optimize.DEFAULT])
        want = m.predict(X, verbose=0)
        with pytest.raises(TypeError, match="no setting 'speed'"):
            m.export(tmp_path / "m.tflite", format="litert", speed=1)
    with pytest.warns(UserWarning, match="deprecated"):
        run = tf.lite.Interpreter(str(tmp_path / "m.tflite")).get_signature_runner()
    np.testing.assert_allclose(run(x=X)["output_0"], want, atol=1e-3)


@pytest.mark.parametrize("name", ("torch", "tensorflow"))
def test_onnx(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript" if name == "torch" else "tf2onnx")
    with nyala.backend_scope(name):
        m = model()
        m.export(tmp_path / "m.onnx", format="onnx", verbose=False)
        want = m.predict([X, N], verbose=0)
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    for got, w in zip(session.run(None, {"a": X, "n": N}), want):
        np.testing.assert_allclose(got, w, atol=1e-5)


@pytest.mark.parametrize("name", ("torch", "tensorflow"))
def test_openvino(name: str, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    with nyala.backend_scope(name):
        m = small()
        m.export(tmp_path / "m.xml", format="openvino", verbose=False)
        want = m.predict(X, verbose=0)
    run = openvino.Core().compile_model(str(tmp_path / "m.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(run(X)[0], want, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "format", "library"),
    [("torch", "onnx", "onnxscript"), ("tensorflow", "onnx", "tf2onnx"), ("torch", "openvino", "openvino"), ("tensorflow", "openvino", "openvino")],
)  # fmt: skip
def test_missing_libraries(
    name: str, format: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with nyala.backend_scope(name), pytest.raises(ImportError, match=rf"nyala\[{format}\]"):
        small().export(tmp_path / "m.xml", format=format)
    assert not list(tmp_path.iterdir())


def test_errors(tmp_path: Path) -> None:
    m = small()
    with pytest.raises(ValueError, match="must be one of 'tf_saved_model', 'onnx', 'openvino', 'litert', 'torch'"):
        m.export(tmp_path / "m", format="tflite")
    for format, ending in (("openvino", ".xml"), ("litert", ".tflite"), ("torch", ".pt2")):
        with pytest.raises(ValueError, match=f"must end in '{ending}'"):
            m.export(tmp_path / "m", format=format)
    with pytest.raises(TypeError, match=r"unknown argument 'opset'.*opset_version"):
        m.export(tmp_path / "m", format="onnx", opset=3)
    with pytest.raises(ValueError, match="not built"):
        nyala.Sequential([layers.Dense(1)]).export(tmp_path / "m")
    with pytest.raises(TypeError, match="must be a list"):
        m.export(tmp_path / "m", input_signature=nyala.InputSpec(shape=(None, 3), dtype="float32"))
    (tmp_path / "mine.txt").touch()
    with pytest.raises(FileExistsError, match="no SavedModel"):
        m.export(tmp_path)


WORDS, INTS = np.array([["a"], ["zz"], ["\u00e9"]]), np.array([[10, 2], [30, 20], [-7, 0]])
TEXTS = np.array([["a Cat, dog!"], [""], ["dog\tdog  Zebra \u00e9t\u00e9"]])
VOCABULARY: dict[str, Any] = dict(vocabulary=["cat", "dog", "a", "a cat", "\u00e9"])
LOOKUPS: list[tuple[layers.Layer, np.ndarray]] = [
    (layers.StringLookup(vocabulary=["a", "b"]), WORDS),
    (layers.StringLookup(vocabulary=["a", "b"], mask_token="zz", output_mode="multi_hot"), WORDS),
    (layers.StringLookup(vocabulary=["a", "b"], mask_token="", num_oov_indices=3, salt=[1, 2]), WORDS),
    (layers.StringLookup(vocabulary=["a", "zz", "\u00e9"], num_oov_indices=0), WORDS),
    (layers.StringLookup(vocabulary=["a", "b"], invert=True), INTS),
    (layers.IntegerLookup(vocabulary=[10, 20]), INTS),
    (layers.IntegerLookup(vocabulary=[10, 20], mask_token=0, num_oov_indices=2, output_mode="count"), INTS),
    (layers.IntegerLookup(vocabulary=[10, 20], num_oov_indices=2, oov_method="farmhash"), INTS),
    (layers.TextVectorization(**VOCABULARY), TEXTS),
    (layers.TextVectorization(**VOCABULARY, output_sequence_length=2, standardize="lower"), TEXTS),
    (layers.TextVectorization(**VOCABULARY, ngrams=2, output_mode="multi_hot"), TEXTS),
    (layers.TextVectorization(**VOCABULARY, output_mode="tf_idf", idf_weights=[1.0, 2.0, 3.0, 4.0, 5.0]), TEXTS),
    (layers.TextVectorization(**VOCABULARY, split="character", standardize=None), TEXTS),
    (layers.TextVectorization(**VOCABULARY, split=None), TEXTS),
    (layers.Hashing(5), WORDS),
    (layers.Hashing(5, mask_value=2, salt=7, output_mode="one_hot"), INTS[:, :1]),
    (layers.HashedCrossing(7), [WORDS, INTS[:, :1]]),
]


def test_lookups(tmp_path: Path) -> None:
    """Layers of texts and hashes are ops of TensorFlow in a file; in a process they are Python."""
    import tensorflow as tf

    archive = ExportArchive()
    with nyala.backend_scope("tensorflow"):
        for i, (layer, x) in enumerate(LOOKUPS):
            parts = [p.astype(object) if p.dtype.kind == "U" else p for p in (x if isinstance(x, list) else [x])]
            specs: Any = [
                tf.TensorSpec((None, *p.shape[1:]), "string" if p.dtype == object else "int64") for p in parts
            ]
            archive.add_endpoint(f"e{i}", layer, [specs] if isinstance(x, list) else specs)
        archive.write_out(tmp_path / "m", verbose=False)
        loaded = tf.saved_model.load(str(tmp_path / "m"))
        for i, (layer, x) in enumerate(LOOKUPS):
            given = [tf.constant(p) for p in x] if isinstance(x, list) else tf.constant(x)
            got, want = np.asarray(getattr(loaded, f"e{i}")(given)), np.asarray(layer(given))
            np.testing.assert_array_equal(got, want, err_msg=str(layer.get_config()))
    with pytest.raises(tf.errors.InvalidArgumentError, match="unknown tokens"):
        loaded.e3(tf.constant([["q"]]))


def test_lookups_of_other_backends(tmp_path: Path) -> None:
    import tensorflow as tf

    with nyala.backend_scope("torch"):
        m = nyala.Sequential([nyala.Input((2,), dtype="int64"), layers.Hashing(5)])
        m.export(tmp_path / "m", verbose=False)
        loaded = tf.saved_model.load(str(tmp_path / "m"))
        np.testing.assert_array_equal(loaded.serve(tf.constant(INTS)), m.predict(INTS, verbose=0))
    with nyala.backend_scope("jax"), pytest.raises(ValueError, match=r"Python on jax.*to_backend\('tensorflow'\)"):
        nyala.Sequential([nyala.Input((2,), dtype="int64"), layers.Hashing(5)]).export(tmp_path / "j")


def test_python_code_is_not_exported(tmp_path: Path) -> None:
    with nyala.backend_scope("tensorflow"):
        text = layers.TextVectorization(**VOCABULARY, standardize=lambda x: x)
        with pytest.raises(ValueError, match="function of Python, which no file holds"):
            nyala.Sequential([nyala.Input((1,), dtype="string"), text]).export(tmp_path / "m")
        m = nyala.Sequential([nyala.Input((3,)), layers.Lambda(lambda x: tf_python(x))])
        with pytest.raises(ValueError, match="runs Python code"):
            m.export(tmp_path / "m")


def tf_python(x: Any) -> Any:
    import tensorflow as tf

    return tf.ensure_shape(tf.numpy_function(lambda v: v, [x], "float32"), x.shape)


@pytest.mark.parametrize(
    "name", ("track", "add_endpoint", "track_and_add_endpoint", "add_variable_collection", "write_out")
)
def test_signatures(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(cls, name)) for cls in (ExportArchive, keras.export.ExportArchive))
    assert list(ours.parameters) == list(theirs.parameters)


def test_signature_of_export() -> None:
    ours, theirs = inspect.signature(nyala.Model.export), inspect.signature(keras.Model.export)
    assert [(p.name, p.default) for p in ours.parameters.values()] == [
        (p.name, p.default) for p in theirs.parameters.values()
    ]
