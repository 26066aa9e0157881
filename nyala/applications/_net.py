"""What all applications share: their arguments, the input of the model, its top, and the files with its weights."""

from __future__ import annotations

import os
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from nyala import activations, layers
from nyala._typing import Identifier, Shape
from nyala.base import check, config
from nyala.graph.symbolic import SymbolicTensor
from nyala.models import Functional
from nyala.utils.files import fetch
from nyala.utils.session import get_source_inputs

ORIGIN = "https://storage.googleapis.com/tensorflow/keras-applications/"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Row:
    """A variant of a family.

    Args:
        name: of the model. size: height and width of the images it was trained on.
        folder: address of its weights, below ``ORIGIN`` if relative. stem: what their file names begin with.
        hashes: of the file with the top and of the one without. plan: what the family's builder makes of the variant.
        smallest: the least height and width. published: how the files are called at their address, if not as here.
    """

    name: str
    size: int
    folder: str
    stem: str
    hashes: tuple[str | None, str | None]
    plan: Any = None
    smallest: int = 32
    endings: tuple[str, str] = (".h5", "_notop.h5")
    published: tuple[str, str] | None = None

    def file(self, include_top: bool) -> tuple[str, str, str | None]:
        """Name, address and hash of the file with the weights."""
        i = 0 if include_top else 1
        folder = self.folder if "://" in self.folder else ORIGIN + self.folder
        name = self.stem + self.endings[i]
        return name, f"{folder}/{self.published[i] if self.published else name}", self.hashes[i]


class Net:
    """A model in the making.

    Args:
        include_top: whether the layers that classify stand on top.
        weights: ``"imagenet"``: as published, downloaded once into ``$KERAS_HOME/models``; a file; ``None``: random.
        input_tensor: a symbolic image to build on in place of a new input.
        input_shape: of an image without the batch axis; default the published size with a top, else any size.
        pooling: without a top: ``"avg"`` or ``"max"`` over height and width; ``None``: the last feature map.
        classes: number of outputs of the top. classifier_activation: of the top; ``None``: logits.
        name: of the model.

    Raises: ValueError for arguments that do not go together, such as published weights for 10 classes.
    """

    def __init__(
        self,
        row: Row,
        include_top: bool,
        weights: str | os.PathLike[str] | None,
        input_tensor: SymbolicTensor | None,
        input_shape: Shape | None,
        pooling: str | None,
        classes: int,
        classifier_activation: Identifier,
        name: str | None,
        sized: bool | None = None,
    ):
        """``sized``: whether the default shape is the published one: with a top (``None``), always or never."""
        self.row = row
        self.name = name or row.name
        self.include_top = include_top
        self.weights = os.fspath(weights) if weights is not None else None
        self.published = self.weights == "imagenet"
        self.pooling = check.one_of(self.name, "pooling", pooling, (None, "avg", "max"))
        self.classes = check.positive_int(self.name, "classes", classes)
        self.classifier_activation = classifier_activation
        self.channels_first = config.image_data_format() == "channels_first"
        self.axis = 1 if self.channels_first else 3
        self.last = 1 if self.channels_first else -1  # the same axis as some families have written it
        self._check_weights()
        sized = include_top if sized is None else sized
        self.shape = self._image_shape(input_shape, sized)
        if input_tensor is None:
            self.image = self.head = layers.Input(self.shape)
        elif isinstance(input_tensor, SymbolicTensor):
            self.image, self.head = input_tensor, get_source_inputs(input_tensor)
        else:
            check.fail(
                self.name, f"input_tensor must be a symbolic tensor, got {type(input_tensor).__name__}", TypeError
            )

    def _check_weights(self) -> None:
        weights, who = self.weights, self.name
        if weights is not None and not self.published and not Path(weights).is_file():
            check.fail(who, f"weights must be None, 'imagenet' or the path of a file, got {weights!r}")
        if self.published and self.include_top:
            if self.classes != 1000:
                check.fail(
                    who,
                    f"the top of weights='imagenet' has 1000 classes, got classes={self.classes}; use include_top=False",
                )
            if activations.get(self.classifier_activation) not in (activations.get("softmax"), activations.get(None)):
                check.fail(
                    who,
                    "classifier_activation must be 'softmax' or None on the top of weights='imagenet', "
                    f"got {self.classifier_activation!r}",
                )

    def _image_shape(self, given: Shape | None, sized: bool) -> Shape:
        size, who = self.row.size, self.name
        default = (3, size, size) if self.channels_first else (size, size, 3)
        if given is None:
            return default if sized else tuple(n if n == 3 else None for n in default)
        shape = tuple(given)
        if len(shape) != 3:
            check.fail(who, f"input_shape must have three sizes, without the batch axis, got {shape}")
        *sides, channels = (*shape[1:], shape[0]) if self.channels_first else shape
        if self.published and channels != 3:
            check.fail(who, f"weights='imagenet' are for images of 3 channels, got input_shape={shape}")
        if self.published and sized and self.include_top and shape != default:
            check.fail(who, f"weights='imagenet' with include_top=True are for input_shape={default}, got {shape}")
        if any(n is not None and n < self.row.smallest for n in sides):
            least = self.row.smallest
            check.fail(who, f"the image must be {least} x {least} pixels at least, got input_shape={shape}")
        if sized and self.include_top and None in shape:
            check.fail(who, f"include_top=True needs an input_shape without None, got {shape}")
        return shape

    def pool(self, x: Any, avg: str | None = None, max: str | None = None) -> Any:
        """What ``pooling`` asks for; ``avg`` and ``max`` name the layers."""
        if self.pooling == "avg":
            return layers.GlobalAveragePooling2D(name=avg)(x)
        if self.pooling == "max":
            return layers.GlobalMaxPooling2D(name=max)(x)
        return x

    def classify(self, x: Any, **kwargs: Any) -> Any:
        return layers.Dense(self.classes, activation=self.classifier_activation, name="predictions", **kwargs)(x)

    def top(self, x: Any, avg: str | None = "avg_pool", max: str | None = "max_pool") -> Any:
        """Average pooling and a dense layer, or without a top what ``pooling`` asks for."""
        if not self.include_top:
            return self.pool(x, avg, max)
        return self.classify(layers.GlobalAveragePooling2D(name=avg)(x))

    def model(self, x: Any) -> Functional:
        """The model from the input to ``x``, with its weights."""
        model = Functional(self.head, x, name=self.name)
        if self.published:
            model.load_weights(cached(*self.row.file(self.include_top)))
        elif self.weights is not None:
            model.load_weights(self.weights)
        return model


def cached(name: str, origin: str, file_hash: str | None) -> Path:
    """A file in the folder ``models`` of the cache, downloaded if need be."""
    return fetch(config.home() / "models" / name, origin, file_hash, keep_if_offline=True)


class Application(Protocol):
    """A function that makes a model; its arguments are those of ``Net``."""

    __name__: str

    def __call__(
        self,
        include_top: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_tensor: SymbolicTensor | None = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Identifier = "softmax",
        name: str | None = ...,
    ) -> Functional: ...


def application(public: str, build: Callable[[Net, Any], Any], row: Row) -> Application:
    """The public function of a row: ``build(net, row.plan)`` gives the output from ``net.image``."""

    def make(
        include_top: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_tensor: SymbolicTensor | None = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Identifier = "softmax",
        name: str | None = row.name,
    ) -> Functional:
        net = Net(row, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
        return net.model(build(net, row.plan))

    make.__doc__ = build.__doc__
    return documented(make, public, build.__module__)


def documented(make: F, public: str | None = None, module: str | None = None) -> F:
    """``make`` under its public name, its docstring with the arguments that all applications share."""
    make.__name__ = make.__qualname__ = public or make.__name__
    make.__module__ = module or make.__module__
    own, _, arguments = (make.__doc__ or "").partition("    Args:")
    shared = (Net.__doc__ or "").partition("    Args:")[2]
    make.__doc__ = f"{own.rstrip()}\n\n    Args:{textwrap.indent(textwrap.dedent(arguments).rstrip(), ' ' * 8)}{shared}"
    return make


def divisible(filters: float) -> int:
    """The multiple of 8 nearest to ``filters``, at least 8 and at least 90% of it."""
    n = max(8, int(filters + 4) // 8 * 8)
    return n + 8 if n < 0.9 * filters else n


def padding(net: Net, x: Any, kernel: int) -> tuple[tuple[int, int], ...]:
    """Zeros around ``x`` with which a convolution of stride 2 gives half the size; unknown sizes count as even."""
    sides = x.shape[2:] if net.channels_first else x.shape[1:3]
    after = kernel // 2
    return tuple((after - (1 - (n or 0) % 2), after) for n in sides)


def trained_size(
    who: str, shape: Shape | None, include_top: bool, weights: Any, sizes: Sequence[int]
) -> tuple[int, int | None]:
    """The size of images whose published weights a mobile network takes, and that which its name tells."""
    rows, columns = (224 if include_top else None,) * 2
    if shape is not None and len(shape) == 3:
        rows, columns = shape[1:] if config.image_data_format() == "channels_first" else shape[:2]
    known = rows == columns and rows in sizes
    if weights == "imagenet" and not known:
        if shape is not None:
            told = f"no published weights are for images of {tuple(shape)}; those for 224 x 224 are taken"
            warnings.warn(f"{who}: {told}", stacklevel=3)
        rows = 224
    return rows if known and rows else 224, rows
