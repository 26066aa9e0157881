"""What models could do in Keras 1 and 2 under another name; each says so once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nyala.base import check, old, tree


class Appended(list[Any]):
    """A list that hands on what is appended to it."""

    def __init__(self, items: Iterable[Any], take: Callable[[Any], None]):
        super().__init__(items)
        self.take = take

    def append(self, item: Any) -> None:
        super().append(item)
        self.take(item)


class OldTrainer:
    """Mixed into ``Trainer``."""

    _half_metrics: tuple[list[str], list[Any]]

    @property
    def metrics_tensors(self) -> list[Any]:
        """Keras 2, until 2.2: a symbolic tensor appended here is reported under the name appended to ``metrics_names``."""
        return Appended((), functools.partial(self._take_half, 1))

    def _take_half(self, which: int, half: Any) -> None:
        names, tensors = halves = self.__dict__.setdefault("_half_metrics", ([], []))
        halves[which].append(half)
        if names and tensors:
            old.tell("model.metrics_tensors.append(tensor)", "a metric that a layer updates in its call")
            self.add_metric(tensors.pop(0), name=names.pop(0))  # type: ignore[attr-defined]

    @property
    def compiled_metrics(self) -> Any:
        """Keras 2: the metrics of ``compile`` as one, with ``update_state(y, y_pred)``."""
        old.tell("model.compiled_metrics", "for metric in model.metrics: metric.update_state(y, y_pred)")
        return self._compile_metrics  # type: ignore[attr-defined]

    def compiled_loss(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None
    ) -> Any:
        """Keras 2: the loss of ``compile`` plus ``regularization_losses``; the metric "loss" takes it in."""
        old.tell("model.compiled_loss", "model.compute_loss(y=y, y_pred=y_pred)")
        total = self._compile_loss(y_true, y_pred, sample_weight)  # type: ignore[attr-defined]
        for value in regularization_losses or ():
            total = total + value
        self._loss_tracker.update_state(total)  # type: ignore[attr-defined]
        return total

    def train(self, x: Any, y: Any, accuracy: bool = False, **kwargs: Any) -> Any:
        """Keras 0: ``train_on_batch``."""
        old.tell("model.train(x, y)", "model.train_on_batch(x, y)")
        return self.train_on_batch(x, y, accuracy=accuracy, **kwargs)  # type: ignore[attr-defined]

    def test(self, x: Any, y: Any, accuracy: bool = False) -> Any:
        """Keras 0: ``test_on_batch``."""
        old.tell("model.test(x, y)", "model.test_on_batch(x, y)")
        return self.test_on_batch(x, y, accuracy=accuracy)  # type: ignore[attr-defined]

    def fit_generator(
        self,
        generator: Any,
        steps_per_epoch: int | None = None,
        epochs: int = 1,
        verbose: int | str = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        validation_steps: int | None = None,
        validation_freq: Any = 1,
        class_weight: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        shuffle: bool = True,
        initial_epoch: int = 0,
        **kwargs: Any,
    ) -> Any:
        """Keras 1 and 2: ``fit``. Keras 1's ``samples_per_epoch`` and ``nb_val_samples`` count samples, not batches."""
        old.tell("fit_generator", "fit")
        first = kwargs.keys() & {"nb_epoch", "max_q_size", "nb_worker", "pickle_safe", "nb_val_samples"}
        samples = kwargs.pop("samples_per_epoch", None)
        if samples is None and first and steps_per_epoch is not None:  # the second argument of Keras 1
            samples, steps_per_epoch = steps_per_epoch, None
        if samples is not None:
            old.tell("samples_per_epoch=", "steps_per_epoch=, a number of batches")
            generator, steps_per_epoch = _steps(self, generator, samples)
        samples = kwargs.pop("nb_val_samples", None)
        if samples is not None and validation_data is not None:
            old.tell("nb_val_samples=", "validation_steps=, a number of batches")
            if not isinstance(validation_data, (tuple, list)):
                validation_data, validation_steps = _steps(self, validation_data, samples)
        kwargs = {"epochs": epochs, **old.renamed("fit", kwargs)}
        queue = _queue(generator, max_queue_size, workers, use_multiprocessing)
        return self.fit(  # type: ignore[attr-defined]
            generator,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight or None,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
            **{**queue, **kwargs},
        )

    def evaluate_generator(
        self,
        generator: Any,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        verbose: int | str = 0,
        **kwargs: Any,
    ) -> Any:
        """Keras 1 and 2: ``evaluate``."""
        old.tell("evaluate_generator", "evaluate")
        generator, steps = _counted(self, generator, steps, kwargs)
        queue = _queue(generator, max_queue_size, workers, use_multiprocessing)
        return self.evaluate(  # type: ignore[attr-defined]
            generator, steps=steps, callbacks=callbacks, verbose=verbose, **{**queue, **kwargs}
        )

    def predict_generator(
        self,
        generator: Any,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        verbose: int | str = 0,
        **kwargs: Any,
    ) -> Any:
        """Keras 1 and 2: ``predict``."""
        old.tell("predict_generator", "predict")
        generator, steps = _counted(self, generator, steps, kwargs)
        queue = _queue(generator, max_queue_size, workers, use_multiprocessing)
        return self.predict(  # type: ignore[attr-defined]
            generator, steps=steps, callbacks=callbacks, verbose=verbose, **{**queue, **kwargs}
        )

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> Any:
        """Keras 1 and 2: ``predict`` of a classifier. Raises ValueError if the outputs are no probabilities."""
        old.tell("predict_proba(x)", "predict(x)")
        values = self._one_output(self.predict(x, batch_size=batch_size, verbose=verbose), "predict_proba")  # type: ignore[attr-defined]
        if values.size and (values.min() < 0.0 or values.max() > 1.0):
            check.fail(
                self,
                f"predict_proba: the outputs go from {values.min():.4g} to {values.max():.4g} and are no probabilities; "
                "end the model with a sigmoid or softmax, or use predict",
            )
        return values

    def reset_states(self) -> None:
        """Keras 1 and 2: set the states of all stateful layers to zero."""
        old.tell("model.reset_states()", "layer.reset_state() of its stateful layers")
        for layer in self._flatten_layers(include_self=False):  # type: ignore[attr-defined]
            if getattr(layer, "stateful", False):
                layer.reset_state()

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> np.ndarray:
        """Keras 1 and 2: the class of each sample: the largest of several outputs, or whether the only one is over 0.5."""
        old.tell("predict_classes(x)", "predict(x).argmax(-1), or (predict(x) > 0.5).astype('int32')")
        values = self._one_output(self.predict(x, batch_size=batch_size, verbose=verbose), "predict_classes")  # type: ignore[attr-defined]
        return values.argmax(-1) if values.shape[-1] > 1 else (values > 0.5).astype("int32")

    def _one_output(self, values: Any, what: str) -> np.ndarray:
        if not isinstance(values, np.ndarray) or values.ndim < 2:
            check.fail(
                self, f"{what} needs a model with one output of shape (batch, classes); use predict and name the output"
            )
        return values

    def to_yaml(self, **kwargs: Any) -> str:
        """Keras 1 and 2. Raises RuntimeError with the way out."""
        check.fail(self, "to_yaml is gone: reading YAML could run code; use to_json", RuntimeError)


_GRAPH = {
    "total_loss": "use model.compute_loss(x, y, y_pred) on a batch, with nyala.value_and_grad for gradients",
    "targets": "targets are given to fit, or to compute_loss in a train_step of your own",
    "sample_weights": "weights are given to fit, or to compute_loss in a train_step of your own",
}


def _gone(name: str, instead: str) -> old.Attribute:
    def fail(model: Any) -> Any:
        check.fail(model, f"{name} was a tensor of older Keras's graph; {instead}", AttributeError)

    return old.Attribute(fail)


for _name, _instead in _GRAPH.items():
    setattr(OldTrainer, _name, _gone(_name, _instead))


def _steps(model: Any, data: Any, samples: int) -> tuple[Any, int]:
    """The data and how many of its batches hold ``samples`` samples; a generator's first batch is looked at and put back."""
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        first = data[0]
    else:
        iterator = iter(data)
        first = next(iterator, None)
        if first is None:
            check.fail(model, "the generator gives no batch")
        data = itertools.chain([first], iterator)
    size = len(tree.flatten(first)[0])
    return data, -(-samples // size)


def _counted(model: Any, data: Any, steps: int | None, kwargs: dict[str, Any]) -> tuple[Any, int | None]:
    samples = kwargs.pop("val_samples", None)
    if samples is None:
        return data, steps
    old.tell("val_samples=", "steps=, a number of batches")
    return _steps(model, data, samples)


def _queue(data: Any, max_queue_size: int, workers: int, use_multiprocessing: bool) -> dict[str, Any]:
    """What was said about preparing batches, for data that has these settings."""
    if (max_queue_size, workers, use_multiprocessing) == (10, 1, False) or not hasattr(data, "workers"):
        return {}
    return {"max_queue_size": max_queue_size, "workers": workers, "use_multiprocessing": use_multiprocessing}


__all__ = ["OldTrainer"]
