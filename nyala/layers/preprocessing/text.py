"""TextVectorization: texts to rows of numbers."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from nyala._typing import Config, Tensor
from nyala.base import allowance, check, configurable, old
from nyala.graph import infer
from nyala.layers.preprocessing.base import HostLayer, batches, sparse_output, texts
from nyala.layers.preprocessing.lookup import StringLookup

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_STANDARDIZE: dict[Any, tuple[Mapping[int, Any], ...]] = {
    "lower_and_strip_punctuation": (_LOWER, _PUNCTUATION), "lower": (_LOWER,), "strip_punctuation": (_PUNCTUATION,), None: (),
}  # fmt: skip
"""As TensorFlow lowers and strips: ASCII letters and ASCII punctuation."""


def _words(text: str) -> list[str]:
    if text.isascii() and not any(sign in text for sign in "\x1c\x1d\x1e\x1f"):
        return text.split()  # many times faster, and only these four are white space to Python alone
    return [t for t in _SPACE.split(text) if t]


class TextVectorization(HostLayer):
    """Texts to rows of token numbers, or to one row of a place for each token: standardize, split, n-grams, look up.

    Args:
        max_tokens, output_mode, pad_to_max_tokens, vocabulary, idf_weights, sparse: as for ``StringLookup``, which has number 0 for
            padding and 1 for unknown tokens.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", ``None``, or a function of an array of strings.
        split: "whitespace", "character", ``None``, or a function of an array of strings that gives a list of tokens for each.
        ngrams: n for all sequences of up to n tokens, or the lengths. output_sequence_length: pad or cut rows of "int" to it.
        ragged: rows without padding, as a ragged tensor, where ``sparse`` would give a sparse one. encoding: "utf-8".
    """

    config_paths = frozenset({"vocabulary"})
    config_order = (
        "name", "trainable", "dtype", "max_tokens", "standardize", "split", "ngrams", "output_mode", "output_sequence_length",
        "pad_to_max_tokens", "sparse", "ragged", "vocabulary", "idf_weights", "encoding",
    )  # fmt: skip

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[..., Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[..., Any] | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        if not callable(standardize):
            check.one_of(self, "standardize", standardize, tuple(_STANDARDIZE))
        if not callable(split):
            check.one_of(self, "split", split, ("whitespace", "character", None))
        output_mode = old.value("output_mode", output_mode)
        check.one_of(self, "output_mode", output_mode, ("int", "multi_hot", "count", "tf_idf"))
        if output_sequence_length is not None:
            check.positive_int(self, "output_sequence_length", output_sequence_length)
            if output_mode != "int":
                check.fail(self, f"output_sequence_length is for output_mode='int', not {output_mode!r}")
        self.max_tokens, self.standardize, self.split = max_tokens, standardize, split
        self.ngrams = (
            tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams if ngrams is None else tuple(ngrams)
        )
        self._ngrams_given = ngrams
        self.output_mode, self.output_sequence_length = output_mode, output_sequence_length
        self.pad_to_max_tokens, self.encoding = pad_to_max_tokens, encoding
        self.sparse = sparse_output(self, sparse, output_mode)
        if ragged and output_mode != "int":
            check.fail(self, f"ragged=True is for output_mode='int', not {output_mode!r}")
        self.ragged = bool(ragged)
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens, mask_token="" if output_mode == "int" else None, vocabulary=vocabulary,
            idf_weights=idf_weights, pad_to_max_tokens=pad_to_max_tokens, output_mode=output_mode, encoding=encoding,
        )  # fmt: skip

    # -- texts to tokens ---------------------------------------------------------------------------------------------

    def _rows(self, x: np.ndarray) -> list[list[str]]:
        """The tokens of each text of a vector."""
        if callable(self.standardize):
            x = texts(self.standardize(x))
        else:
            for table in _STANDARDIZE[self.standardize]:
                x = np.array([t.translate(table) for t in x], object)
        if callable(self.split):
            rows = [[str(t) for t in texts(row)] for row in self.split(x)]
        elif self.split == "whitespace":
            rows = [_words(text) for text in x]
        elif self.split == "character":
            rows = [list(text) for text in x]
        else:
            rows = [[text] for text in x]
        return [self._with_ngrams(row) for row in rows] if self.ngrams is not None else rows

    def _with_ngrams(self, row: list[str]) -> list[str]:
        return [" ".join(row[i : i + n]) for n in self.ngrams or () for i in range(len(row) - n + 1)]

    def _texts(self, x: Any) -> np.ndarray:
        """A vector of texts, from an array whose last of two axes is 1."""
        x = texts(x)
        if x.ndim == 2 and x.shape[1] != 1 and self.split is not None:
            check.fail(self, f"takes texts of shape (batch,) or (batch, 1), got {x.shape}")
        return x.reshape(-1)

    # -- the vocabulary ----------------------------------------------------------------------------------------------

    @property
    def input_dtype(self) -> str:
        return "string"

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Make the vocabulary from the texts of an array or list, or of a data set (its first ``steps`` batches).

        batch_size: accepted for arrays, which are taken at once; the result does not depend on it.
        """
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        self._lookup_layer._count_rows(self._rows(self._texts(data)))

    def finalize_state(self) -> None:
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens by number. include_special_tokens: with padding's and the unknown one."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the tokens: a list, an array, or the path of a text file."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    # -- the call ----------------------------------------------------------------------------------------------------

    def look_up(self, x: np.ndarray) -> np.ndarray:
        rows = self._rows(self._texts(x))
        width = self.output_sequence_length or max(map(len, rows), default=0)
        if self.output_mode != "int":
            width = max(map(len, rows), default=0)
        flat = self._lookup_layer._find([t for row in rows for t in row[:width]])
        # Padding is 0 as a number, and no place in the other outputs.
        found, at = np.full((len(rows), width), 0 if self.output_mode == "int" else -2, "int64"), 0
        for i, row in enumerate(rows):
            n = min(len(row), width)
            found[i, :n] = flat[at : at + n]
            at += n
        if self.split is None and self.ngrams is None and self.output_mode == "int":
            return found.reshape(np.shape(x))
        return found if np.ndim(x) else found[0]

    def look_up_in(self, words: Any, x: Tensor) -> Tensor:
        if callable(self.standardize) or callable(self.split):
            check.fail(
                self,
                "standardizes or splits by a function of Python, which no file holds: export the model without this layer, and "
                "run it on the data in front of it",
            )
        kind = self.standardize or ""
        rows = words.rows(
            words.standardized(words.reshape(x, [-1]), "lower" in kind, "strip" in kind), self.split, self.ngrams
        )
        flat = self._lookup_layer.look_up_in(words, rows.flat_values)
        whole = self.output_mode == "int"
        found = words.padded(rows, flat, self.output_sequence_length, 0 if whole else -2)
        if self.split is None and self.ngrams is None and whole:
            return words.reshape(found, words.shape(x))
        return found if len(x.shape) else found[0]

    def call(self, inputs: Any) -> Tensor:
        shape = None
        if not isinstance(inputs, np.ndarray) or infer.is_abstract():
            plain = self.split is None and self.ngrams is None and self.output_mode == "int"
            first = tuple(inputs.shape)[:1]
            # In an abstract evaluation the sizes that differ between its two runs are unknown ones.
            width = self.output_sequence_length or infer.abstract_batch()
            shape = tuple(inputs.shape) if plain else (*first, width)
        return self._lookup_layer._encoded(self.looked_up(inputs, shape=shape))

    # -- files -------------------------------------------------------------------------------------------------------

    def config_value(self, name: str) -> Any:
        if name in ("vocabulary", "idf_weights"):
            return self._lookup_layer.config_value(name)
        if name == "ngrams":
            return self._ngrams_given
        return super().config_value(name)

    def get_config(self) -> Config:
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size()}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The layer that the config describes; it may hold tokens, but not the path of a file."""
        config = dict(config)
        size = config.pop("vocabulary_size", None)
        for name in ("standardize", "split"):
            if isinstance(config.get(name), Mapping):
                config[name] = configurable.deserialize(config[name])
        if isinstance(config.get("ngrams"), list):
            config["ngrams"] = tuple(config["ngrams"])
        made = super().from_config(config)
        allowance.take(made, (size or 0,))
        made._lookup_layer._expected = size
        return made

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary to a file in the folder."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Read the vocabulary that ``save_assets`` wrote."""
        self._lookup_layer.load_assets(dir_path)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        self._lookup_layer.load_own_variables(store)


__all__ = ["TextVectorization"]
