"""``TensorBoard``: what training does, as event files that TensorBoard shows. Needs the ``tensorboard`` package."""

from __future__ import annotations

import io
import itertools
import os
import socket
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nyala.base import check, files, old
from nyala.training.callbacks.base import Callback, Logs
from nyala.training.callbacks.logging import plain

_IMAGES = 3
"""Pictures of one weight at most: TensorBoard shows no more side by side."""


def _need() -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'the TensorBoard callback writes with the tensorboard package: pip install "nyala[tensorboard]"'
        ) from error


class EventWriter:
    """An event file in ``folder``; every value is on the disk when its method returns.

    Args: folder: made when missing. Each writer has a file of its own.
    """

    _numbers = itertools.count()

    def __init__(self, folder: str | os.PathLike[str]):
        _need()
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(self._numbers)}.v2"
        self.path = Path(folder) / name
        self._file = self.path.open("wb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")

    def _write(self, **content: Any) -> None:
        with files.writing(self.path):
            self._records.write(self._event(wall_time=time.time(), **content).SerializeToString())
            self._records.flush()

    def scalars(self, values: Mapping[str, Any], step: int) -> None:
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        found = (scalar_pb(tag, np.float32(value)).value[0] for tag, value in values.items())
        self._write(step=step, summary=self._summary(value=found))

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        self._write(step=step, summary=histogram_pb(tag, values.astype("float64")))

    def images(self, tag: str, pictures: np.ndarray, step: int) -> None:
        """Grey pictures. Shapes: uint8 (n, height, width, 1)."""
        from tensorboard.plugins.image.metadata import create_summary_metadata

        height, width = pictures.shape[1:3]
        texts = [str(width).encode(), str(height).encode(), *map(_png, pictures)]
        # The fields of TensorBoard's own function for it, which would load TensorFlow.
        self._texts(tag, texts, step, create_summary_metadata(None, None))

    def keras_graph(self, text: str) -> None:
        """The model, as JSON, for the page of graphs."""
        from tensorboard.compat.proto.summary_pb2 import SummaryMetadata  # pyright: ignore[reportAttributeAccessIssue]

        kind = SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1")
        self._texts("keras", text.encode(), 0, SummaryMetadata(plugin_data=kind))

    def _texts(self, tag: str, texts: list[bytes] | bytes, step: int, metadata: Any) -> None:
        from tensorboard.util.tensor_util import make_tensor_proto

        value = self._summary.Value(tag=tag, tensor=make_tensor_proto(texts), metadata=metadata)
        self._write(step=step, summary=self._summary(value=[value]))

    def close(self) -> None:
        self._records.close()


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture[..., 0]).save(out, "png")
    return out.getvalue()


def weight_pictures(weight: np.ndarray) -> np.ndarray | None:
    """A weight as grey pictures, its least value black and its greatest white; ``None`` for four and more axes.

    Shapes, axes of length 1 left out: (n,) -> a column; (m, n) -> m >= n pixels high or wide; (h, w, n) -> n pictures.
    Result: uint8 (pictures, height, width, 1).
    """
    weight = np.squeeze(weight).astype("float32")
    if weight.ndim == 1:
        pictures = weight[None, :, None]
    elif weight.ndim == 2:
        pictures = (weight.T if weight.shape[0] > weight.shape[1] else weight)[None]
    elif weight.ndim == 3:
        pictures = weight.transpose(2, 0, 1)
    else:
        return None
    low, high = float(pictures.min()), float(pictures.max())
    return (255 * (pictures - low) / ((high - low) or 1.0)).round().astype("uint8")[:_IMAGES, ..., None]


class TensorBoard(Callback):
    """Writes results, weights, pictures and the model for TensorBoard: ``tensorboard --logdir logs``.

    Training writes below ``log_dir/train``, validation below ``log_dir/validation``: ``epoch_loss``,
    ``epoch_learning_rate`` and so on by epochs, ``batch_loss`` and so on by steps, ``evaluation_loss_vs_iterations``.

    Args:
        log_dir: the folder.
        histogram_freq: histograms of the weights every so many epochs; 0: none.
        write_graph: the model itself. write_images: the weights as pictures too, at the same epochs.
        write_steps_per_second: the speed of training.
        update_freq: ``"epoch"``, ``"batch"``, or the number of steps between two records of batches.
        profile_batch: the step to profile, or the first and last of them, counted from 1; 0: none.
        embeddings_freq: tables of Embedding layers for the projector every so many epochs; 0: none.
        embeddings_metadata: a file with a label a line for the table, or a dict from layer names to files.

    Raises: ImportError without the ``tensorboard`` package.
    """

    @old.takes(batch_size=None, write_grads=None, embeddings_layer_names=None, embeddings_data=None)
    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
        profile_batch: int | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
    ):
        _need()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = check.non_negative_int(self, "histogram_freq", histogram_freq)
        self.write_graph = write_graph
        self.write_images = write_images
        if write_images and not histogram_freq:
            warnings.warn(
                "TensorBoard: write_images=True writes nothing without histogram_freq, which says when", stacklevel=3
            )
        self.write_steps_per_second = write_steps_per_second
        if update_freq not in ("epoch", "batch"):
            check.positive_int(self, "update_freq ('epoch', 'batch' or a number of steps)", update_freq)
        self.update_freq: int | str = 1 if update_freq == "batch" else update_freq
        self.profile_batch = _steps(self, profile_batch)
        self.embeddings_freq = check.non_negative_int(self, "embeddings_freq", embeddings_freq)
        self.embeddings_metadata = embeddings_metadata
        self._writers: dict[str, EventWriter] = {}
        self._training = False
        self._profiling: Any = None
        # Only a callback that writes or measures batches makes the loop stop at them.
        if self.update_freq != "epoch" or self.profile_batch:
            self.__dict__.update(on_train_batch_begin=self._on_batch_begin, on_train_batch_end=self._on_batch_end)

    def _writer(self, part: str) -> EventWriter:
        if part not in self._writers:
            self._writers[part] = EventWriter(Path(self.log_dir) / part)
        return self._writers[part]

    def _iterations(self) -> int:
        optimizer = getattr(self.model, "optimizer", None)
        return 0 if optimizer is None or not optimizer.built else int(plain(np.asarray(optimizer.iterations)))

    def on_train_begin(self, logs: Logs = None) -> None:
        self._training = True
        # Before the first step the optimizer may not be built; a model trained before goes on counting.
        self._step = self._iterations()
        self._profiled = False
        if self.profile_batch and self._find_profiler() is None:
            check.fail(
                self, f"profile_batch: the {self.model.backend} backend has no profiler; use 0", NotImplementedError
            )
        if self.write_graph:
            self._write_model()
        if self.embeddings_freq and not self._tables():
            warnings.warn("TensorBoard: embeddings_freq writes nothing: the model has no Embedding layer", stacklevel=2)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._last_batch = -1
        self._epoch_start = time.perf_counter(), self._iterations()

    def _on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        self._batch_start = time.perf_counter()
        waits = self._profiling is None and not self._profiled
        if self.profile_batch and waits and self._step + 1 >= self.profile_batch[0]:
            self._profiling = self._find_profiler()
            self._profiling.__enter__()

    def _on_batch_end(self, batch: int, logs: Logs = None) -> None:
        count = batch - self._last_batch  # a call may stand for several fused steps
        self._last_batch, before = batch, self._step
        self._step += count
        if self.profile_batch and self._profiling is not None and self._step >= self.profile_batch[1]:
            self._stop_profiling()
        if self.update_freq == "epoch" or self._step // int(self.update_freq) == before // int(self.update_freq):
            return
        values = {f"batch_{k}": v for k, v in (logs or {}).items()}
        if self.write_steps_per_second:
            values = {"batch_steps_per_second": count / (time.perf_counter() - self._batch_start), **values}
        self._writer("train").scalars(values, self._step)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = dict(logs or {})
        train = {f"epoch_{k}": v for k, v in logs.items() if not k.startswith("val_")}
        train.setdefault("epoch_learning_rate", plain(np.asarray(self.model.optimizer.learning_rate)))
        if self.write_steps_per_second:
            start, before = self._epoch_start
            train["epoch_steps_per_second"] = (self._iterations() - before) / (time.perf_counter() - start)
        self._writer("train").scalars(train, epoch)
        validation = {f"epoch_{k[4:]}": v for k, v in logs.items() if k.startswith("val_")}
        if validation:
            self._writer("validation").scalars(validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._project(epoch)

    def on_test_end(self, logs: Logs = None) -> None:
        values = {f"evaluation_{k}_vs_iterations": v for k, v in (logs or {}).items()}
        if values:
            self._writer("validation").scalars(values, self._iterations())
        if not self._training:
            self._close()

    def get_state(self) -> dict[str, Any]:
        return {"step": self._step, "last_batch": self._last_batch, "profiled": self._profiled}

    def set_state(self, state: dict[str, Any]) -> None:
        self._step, self._last_batch, self._profiled = state["step"], state["last_batch"], state["profiled"]

    def on_train_end(self, logs: Logs = None) -> None:
        self._training = False
        if self._profiling is not None:
            self._stop_profiling()
        self._close()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _write_model(self) -> None:
        try:
            text = self.model.to_json()
        except (NotImplementedError, TypeError, ValueError) as error:
            warnings.warn(f"TensorBoard: the model has no config to draw a graph from: {error}", stacklevel=2)
        else:
            self._writer("train").keras_graph(text)

    def _find_profiler(self) -> Any:
        return self.model._find_backend().profiler(self.log_dir)

    def _stop_profiling(self) -> None:
        self.model._find_backend().synchronize()
        self._profiling.__exit__(None, None, None)
        self._profiling, self._profiled = None, True

    def _weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for weight in self.model.weights:
            values = weight.numpy()
            writer.histogram(f"{weight.path}/histogram", values, epoch)
            pictures = weight_pictures(values) if self.write_images else None
            if pictures is not None:
                writer.images(f"{weight.path}/image", pictures, epoch)

    def _tables(self) -> dict[str, Any]:
        """The tables of Embedding layers by the layers' names, checked against the names of the metadata."""
        tables = {
            layer.name: layer.embeddings
            for layer in self.model._flatten_layers()
            if getattr(layer, "embeddings", None) is not None
        }
        layers = {layer.name for layer in self.model._flatten_layers()}
        names: Iterable[str] = self.embeddings_metadata if isinstance(self.embeddings_metadata, Mapping) else ()
        for name in set(names) - layers:
            check.fail(self, f"embeddings_metadata: the model has no layer {name!r}.{check.nearest(name, layers)}")
        return tables

    def _project(self, epoch: int) -> None:
        """Tables as text beside a description of them, which is what the projector reads."""
        from google.protobuf import text_format
        from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig  # pyright: ignore[reportAttributeAccessIssue]

        description = ProjectorConfig()
        for name, table in self._tables().items():
            place = Path("embeddings") / f"{name}-{epoch}.tsv"
            values = table.numpy().astype("float32")
            (Path(self.log_dir) / place).parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(Path(self.log_dir) / place, values, "%.8g", "\t")
            labels = self.embeddings_metadata
            labels = labels.get(name) if isinstance(labels, Mapping) else labels
            description.embeddings.add(
                tensor_name=table.path, tensor_shape=values.shape, tensor_path=str(place), metadata_path=labels
            )
        (Path(self.log_dir) / "projector_config.pbtxt").write_text(text_format.MessageToString(description))


def _steps(owner: Any, value: Any) -> tuple[int, int] | None:
    """The first and last step to profile."""
    if value == 0:
        return None
    first, last = (
        (value, value) if check.is_int(value) else tuple(value) if isinstance(value, (tuple, list)) else (0, 0)
    )
    if not (check.is_int(first) and check.is_int(last) and 0 < first <= last):
        check.fail(owner, f"profile_batch must be an int >= 0 or two of them, the first and last step, got {value!r}")
    return first, last
