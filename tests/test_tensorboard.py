"""TensorBoard's files, read back by TensorBoard's own reader, and RemoteMonitor with a server of its own."""

from __future__ import annotations

import http.server
import inspect
import io
import json
import re
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.training.callbacks import tensorboard as tb

X = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")
Y = np.zeros((8, 1), "float32")


def read(folder: Path) -> list[Any]:
    """The events of the files directly in ``folder``."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return [e for f in sorted(folder.glob("events.out.tfevents.*.v2")) for e in LegacyEventFileLoader(str(f)).Load()]


def values(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    found: dict[str, list[tuple[int, Any]]] = {}
    for event in read(folder):
        for v in event.summary.value:
            found.setdefault(v.tag, []).append((event.step, v))
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    return {
        tag: [(step, v.tensor.float_val[0]) for step, v in rows]
        for tag, rows in values(folder).items()
        if rows[0][1].metadata.plugin_data.plugin_name == "scalars"
    }


def model_of(module: Any) -> Any:
    layers = module.layers
    model = module.Sequential([
        module.Input((6, 6, 2)), layers.Conv2D(5, 3, name="conv"), layers.Flatten(), layers.Dense(1, name="dense"),
    ])  # fmt: skip
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def fit(module: Any, folder: Path, epochs: int = 2, **kwargs: Any) -> Any:
    model = model_of(module)
    callback = module.callbacks.TensorBoard(folder, **kwargs)
    model.fit(X, Y, epochs=epochs, batch_size=2, validation_data=(X, Y), verbose=0, callbacks=[callback])
    return model


def test_tags_and_steps_are_keras(tmp_path: Path) -> None:
    kwargs: dict[str, Any] = dict(histogram_freq=2, write_images=True, update_freq=2, write_steps_per_second=True)
    found = []
    for module in (nyala, keras):
        folder = tmp_path / module.__name__
        fit(module, folder, epochs=3, **kwargs)
        assert sorted(p.name for p in folder.iterdir()) == ["train", "validation"]
        tags = {}
        for part in ("train", "validation"):
            for tag, rows in values(folder / part).items():
                first = rows[0][1]
                shape = [d.size for d in first.tensor.tensor_shape.dim]
                tag = re.sub(r"^sequential(_\d+)?/", "", tag)
                plugin = first.metadata.plugin_data.plugin_name
                tags[part, tag] = ([step for step, _ in rows], plugin, shape, first.tensor.dtype)
        found.append(tags)
    assert found[0] == found[1]


def test_values(backend: str, tmp_path: Path) -> None:
    model = fit(nyala, tmp_path, update_freq="batch", histogram_freq=1)
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    history = model.history.history
    for name in ("loss", "mae"):
        np.testing.assert_allclose([v for _, v in train[f"epoch_{name}"]], history[name], rtol=1e-6)
        np.testing.assert_allclose([v for _, v in validation[f"epoch_{name}"]], history[f"val_{name}"], rtol=1e-6)
        assert [step for step, _ in train[f"batch_{name}"]] == list(range(1, 9))
        assert [step for step, _ in validation[f"evaluation_{name}_vs_iterations"]] == [4, 8]
        assert train[f"batch_{name}"][3][1] == pytest.approx(history[name][0], rel=1e-6)
    np.testing.assert_allclose([v for _, v in train["epoch_learning_rate"]], 0.01)
    from tensorboard.util.tensor_util import make_ndarray

    step, last = values(tmp_path / "train")[f"{model.weights[0].path}/histogram"][-1]
    buckets = make_ndarray(last.tensor)
    weights = model.weights[0].numpy()
    assert step == 1 and buckets[:, 2].sum() == weights.size
    np.testing.assert_allclose([buckets[0, 0], buckets[-1, 1]], [weights.min(), weights.max()], rtol=1e-5)


def test_graph_is_the_model_and_tensorboard_draws_it(tmp_path: Path) -> None:
    model = fit(nyala, tmp_path)
    value = values(tmp_path / "train")["keras"][0][1]
    assert json.loads(value.tensor.string_val[0]) == json.loads(model.to_json())
    from tensorboard.plugins.graph import keras_util

    nodes = keras_util.keras_model_to_graph_def(json.loads(value.tensor.string_val[0])).node
    assert {"conv", "dense"} <= {n.name.split("/")[-1] for n in nodes}
    fit(nyala, tmp_path / "without", write_graph=False)
    assert "keras" not in values(tmp_path / "without" / "train")


def test_a_second_fit_goes_on_counting(tmp_path: Path) -> None:
    model = model_of(nyala)
    for _ in range(2):
        model.fit(X, Y, batch_size=4, verbose=0, callbacks=nyala.callbacks.TensorBoard(tmp_path, update_freq=1))
    steps = [step for step, _ in scalars(tmp_path / "train")["batch_loss"]]
    assert sorted(steps) == [1, 2, 3, 4]
    model.evaluate(X, Y, verbose=0, callbacks=nyala.callbacks.TensorBoard(tmp_path))
    assert [step for step, _ in scalars(tmp_path / "validation")["evaluation_loss_vs_iterations"]] == [4]


def test_fused_steps_are_recorded_when_a_multiple_is_passed(tmp_path: Path) -> None:
    model = nyala.Sequential([nyala.layers.Flatten(), nyala.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=3)
    model.fit(X, Y, batch_size=1, verbose=0, callbacks=nyala.callbacks.TensorBoard(tmp_path, update_freq=4))
    assert [step for step, _ in scalars(tmp_path / "train")["batch_loss"]] == [6, 8]


def test_only_batches_wanted_stop_the_loop() -> None:
    quiet, loud = nyala.callbacks.TensorBoard(), nyala.callbacks.TensorBoard(update_freq=5)
    assert not nyala.callbacks.CallbackList([quiet]).wants_train_batches
    assert nyala.callbacks.CallbackList([loud]).wants_train_batches


@pytest.mark.parametrize("shape", [(5,), (7, 3), (3, 7), (4, 5, 2), (3, 3, 1, 6), (1,), (2, 3, 4, 5)])
def test_pictures_of_weights(shape: tuple[int, ...]) -> None:
    from PIL import Image

    weight = np.random.default_rng(0).normal(size=shape)
    pictures = tb.weight_pictures(weight)
    if shape in ((1,), (2, 3, 4, 5)):
        assert pictures is None
        return
    assert pictures is not None and pictures.dtype == np.uint8 and pictures.shape[-1] == 1
    assert pictures.min() == 0 or len(shape) > 2
    again = np.asarray(Image.open(io.BytesIO(tb._png(pictures[0]))))
    np.testing.assert_array_equal(again, pictures[0, ..., 0])
    expected = {(5,): (1, 5, 1), (7, 3): (1, 3, 7), (3, 7): (1, 3, 7), (4, 5, 2): (2, 4, 5), (3, 3, 1, 6): (3, 3, 3)}
    assert pictures.shape[:-1] == expected[shape]


def test_embeddings(tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    layers = nyala.layers
    model = nyala.Sequential([layers.Embedding(5, 3, name="words"), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = nyala.callbacks.TensorBoard(tmp_path, embeddings_freq=2, embeddings_metadata={"words": "words.tsv"})
    model.fit(np.zeros((4, 2), "int32"), Y[:4], epochs=3, verbose=0, callbacks=callback)
    found = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings
    assert len(found) == 1 and list(found[0].tensor_shape) == [5, 3] and found[0].metadata_path == "words.tsv"
    table = np.loadtxt(tmp_path / found[0].tensor_path, delimiter="\t")
    np.testing.assert_allclose(table, model.layers[0].get_weights()[0], rtol=1e-6)
    assert sorted(p.name for p in (tmp_path / "embeddings").iterdir()) == ["words-0.tsv", "words-2.tsv"]
    callback.embeddings_metadata = {"word": "x"}
    with pytest.raises(ValueError, match=r"no layer 'word'.*'words'"):
        model.fit(np.zeros((4, 2), "int32"), Y[:4], verbose=0, callbacks=callback)


def test_profile(backend: str, tmp_path: Path) -> None:
    fit(nyala, tmp_path, epochs=1, profile_batch=(2, 3))
    files = [p for p in tmp_path.rglob("*") if p.name.endswith((".xplane.pb", ".pt.trace.json"))]
    assert len(files) == 1 and files[0].stat().st_size > 1000


def test_no_profiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(type(nyala.layers.Layer()._find_backend()), "profiler", lambda self, log_dir: None)
    with pytest.raises(NotImplementedError, match="profile_batch: the jax backend has no profiler"):
        fit(nyala, tmp_path, profile_batch=1)


def test_write_images_says_what_it_needs() -> None:
    with pytest.warns(UserWarning, match="writes nothing without histogram_freq"):
        nyala.callbacks.TensorBoard(write_images=True)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"update_freq": "step"}, "update_freq"),
        ({"update_freq": 0}, "update_freq"),
        ({"histogram_freq": -1}, "histogram_freq"),
        ({"embeddings_freq": 1.5}, "embeddings_freq"),
        ({"profile_batch": (3, 2)}, "profile_batch"),
        ({"profile_batch": "2,3"}, "profile_batch"),
    ],
)
def test_errors(kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nyala.callbacks.TensorBoard(**kwargs)


def test_without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"nyala\[tensorboard\]"):
        nyala.callbacks.TensorBoard()


def test_loads_no_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from nyala.training.callbacks.tensorboard import EventWriter;"
        "w = EventWriter(sys.argv[1]); w.scalars({'a': 1.0}, 0); w.histogram('h', np.ones(3), 0); w.keras_graph('{}');"
        "w.images('i', np.zeros((1, 2, 2, 1), 'uint8'), 0); w.close(); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert len(read(tmp_path)) == 5


class Server(http.server.BaseHTTPRequestHandler):
    posts: list[tuple[str, str | None, str | None, str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.posts.append((self.path, self.headers["Content-Type"], self.headers["X-Key"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None: ...


def test_remote_monitor() -> None:
    server = http.server.HTTPServer(("localhost", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://localhost:{server.server_port}"
    logs = {"loss": np.float32(1.5), "per_class": np.array([1.0, 2.0])}
    expected = {"epoch": 3, "loss": 1.5, "per_class": [1.0, 2.0]}
    nyala.callbacks.RemoteMonitor(root).on_epoch_end(3, logs)
    callback = nyala.callbacks.RemoteMonitor(root, "/p", headers={"X-Key": "k"}, send_as_json=True)
    callback.on_epoch_end(3, logs)
    server.shutdown()
    server.server_close()
    (path, kind, _, form), second = Server.posts
    assert (path, kind) == ("/publish/epoch/end/", "application/x-www-form-urlencoded")
    assert json.loads(urllib.parse.parse_qs(form)["data"][0]) == expected
    assert second[:3] == ("/p", "application/json", "k") and json.loads(second[3]) == expected
    with pytest.warns(UserWarning, match="did not take the results"):
        callback.on_epoch_end(4, {})
    with pytest.raises(ValueError, match="root must be"):
        nyala.callbacks.RemoteMonitor("file:///etc")


@pytest.mark.parametrize("name", ["TensorBoard", "RemoteMonitor"])
def test_signatures_are_keras(name: str) -> None:
    mine, expected = (inspect.signature(getattr(m.callbacks, name)).parameters.values() for m in (nyala, keras))
    assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in expected]
