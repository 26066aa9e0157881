"""Layers that give each token of a vocabulary a number: StringLookup, IntegerLookup."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from nyala import backends, ops
from nyala._typing import Config, Tensor
from nyala.backends import host
from nyala.base import allowance, check, old
from nyala.graph import infer
from nyala.layers.preprocessing import hashes
from nyala.layers.preprocessing.base import MODES, HostLayer, batches, encoded, sparse_output, texts

ASSET = "vocabulary.txt"


class _Lookup(HostLayer):
    """A table from tokens to numbers: the mask's is 0, those of unknown tokens follow, then those of the vocabulary.

    Args:
        max_tokens: the most numbers there may be, those of the mask and of unknown tokens included.
        num_oov_indices: numbers for unknown tokens, to which these are hashed; with 0 they are an error.
        mask_token: the token with number 0. oov_token: what unknown numbers become with ``invert``.
        vocabulary: tokens, or the path of a text file with one a line, in place of ``adapt``.
        idf_weights: of the tokens of ``vocabulary``, for "tf_idf". invert: numbers to tokens.
        output_mode: "int", "one_hot", "multi_hot", "count" or "tf_idf"; in these the mask has no place.
        pad_to_max_tokens: whether the outputs have ``max_tokens`` places whatever the vocabulary has. sparse: see ``DataLayer``.
        salt: an int or two, with which unknown tokens are hashed.
    """

    config_paths = frozenset({"vocabulary"})
    config_order = (
        "name", "trainable", "dtype", "invert", "max_tokens", "num_oov_indices", "oov_token", "mask_token", "output_mode",
        "sparse", "pad_to_max_tokens", "vocabulary_dtype", "idf_weights", "vocabulary", "vocabulary_size", "oov_method", "salt",
    )  # fmt: skip

    def _set_up(
        self,
        max_tokens: Any,
        num_oov_indices: Any,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        salt: Any,
        oov_method: str,
    ) -> None:
        self.invert = invert
        output_mode = old.value("output_mode", output_mode)
        self.output_mode = check.one_of(self, "output_mode", output_mode, (*MODES, "tf_idf"))
        self.num_oov_indices = check.non_negative_int(self, "num_oov_indices", num_oov_indices)
        allowance.take(self, (num_oov_indices,))
        if max_tokens is not None and (not check.is_int(max_tokens) or max_tokens <= 1):
            check.fail(self, f"max_tokens must be an int above 1, got {max_tokens!r}")
        self.max_tokens = max_tokens
        if invert and output_mode != "int":
            check.fail(self, f"invert=True goes with output_mode='int', not {output_mode!r}")
        if invert and num_oov_indices > 1:
            check.fail(self, f"invert=True goes with num_oov_indices of 0 or 1, not {num_oov_indices}")
        if pad_to_max_tokens and max_tokens is None:
            check.fail(self, "pad_to_max_tokens=True needs max_tokens")
        if idf_weights is not None and output_mode != "tf_idf":
            check.fail(self, f"idf_weights are for output_mode='tf_idf', not {output_mode!r}")
        self.mask_token, self.oov_token = mask_token, oov_token
        self.pad_to_max_tokens = pad_to_max_tokens
        self.sparse = sparse_output(self, sparse, output_mode)
        self.oov_method = check.one_of(self, "oov_method", oov_method, ("floormod", "farmhash"))
        self.salt = [salt, salt] if check.is_int(salt) else salt
        self._tokens: list[Any] = []
        self._idf: np.ndarray | None = None
        self._expected: int | None = None
        self.reset_state()
        self._given = self._idf_given = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
            self._given = list(self._tokens)
            self._idf_given = None if idf_weights is None else np.asarray(idf_weights).tolist()

    # -- the vocabulary ----------------------------------------------------------------------------------------------

    def _token(self, x: Any) -> Any:
        raise NotImplementedError

    def _array(self, x: Any) -> np.ndarray:
        raise NotImplementedError

    def _special(self) -> list[Any]:
        masks = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        return masks + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens by number. include_special_tokens: with the mask's and the unknown ones'."""
        return (self._special() if include_special_tokens else []) + list(self._tokens)

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of the mask and of unknown tokens included."""
        return len(self._special()) + len(self._tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the tokens, with or without the special ones in front: a list, an array, or the path of a text file."""
        if isinstance(vocabulary, (str, Path)):
            path = Path(vocabulary)
            if not path.is_file():
                check.fail(self, f"there is no vocabulary file {path}", FileNotFoundError)
            vocabulary = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        tokens = [self._token(t) for t in self._plain(vocabulary)]
        special = self._special()
        if special and tokens[: len(special)] == special:
            tokens = tokens[len(special) :]
        repeated = [t for t, n in Counter(tokens).items() if n > 1]
        if repeated:
            check.fail(self, f"the vocabulary has tokens more than once: {repeated[:10]}")
        reserved = [t for t in special if t in set(tokens)]
        if reserved:
            check.fail(
                self, f"the vocabulary has the reserved token {reserved[0]!r}; give another mask_token or oov_token"
            )
        if self.max_tokens is not None and len(special) + len(tokens) > self.max_tokens:
            check.fail(self, f"the vocabulary has {len(special) + len(tokens)} tokens, max_tokens is {self.max_tokens}")
        if self.output_mode == "tf_idf":
            if idf_weights is None:
                check.fail(self, "output_mode='tf_idf' needs idf_weights for the tokens")
            weights = np.asarray(idf_weights, "float32")
            if weights.shape != (len(tokens),):
                check.fail(self, f"idf_weights must have shape ({len(tokens)},), got {weights.shape}")
            self._idf = np.append(np.full(len(special), weights.mean() if len(weights) else 1, "float32"), weights)
        elif idf_weights is not None:
            check.fail(self, f"idf_weights are for output_mode='tf_idf', not {self.output_mode!r}")
        self._set_tokens(tokens)

    def _plain(self, vocabulary: Any) -> list[Any]:
        array = ops.convert_to_numpy(vocabulary) if backends.of(vocabulary) is not None else vocabulary
        return list(np.ravel(array)) if isinstance(array, np.ndarray) else list(array)

    def _set_tokens(self, tokens: Iterable[Any]) -> None:
        self._tokens = list(tokens)
        first = len(self._special())
        self._numbers: dict[Any, int] = {t: i for i, t in enumerate(self._tokens, first)}
        if self.mask_token is not None:
            self._numbers[self.mask_token] = 0 if self.output_mode == "int" else -2

    # -- adapt -------------------------------------------------------------------------------------------------------

    def reset_state(self) -> None:
        """Forget the data of ``update_state``."""
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._seen = 0

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch; ``finalize_state`` then makes the vocabulary."""
        x = self._array(data)
        # Only tf-idf asks which tokens are in one row.
        rows = -1 if self.output_mode != "tf_idf" or not x.ndim else int(np.prod(x.shape[1:]))
        self._count_rows(x.reshape(-1, rows) if rows > 0 else x.reshape(1, -1))

    def _count_rows(self, rows: Iterable[Any]) -> None:
        for row in rows:
            found = Counter(list(row))
            self._counts.update(found)
            self._documents.update(found.keys())
            self._seen += 1

    def finalize_state(self) -> None:
        if not self._seen:
            return
        special = set(self._special()) | ({self.mask_token} if self.mask_token is not None else set())
        ranked = sorted((t for t in self._counts if t not in special), reverse=True)
        ranked.sort(key=lambda t: -self._counts[t])
        if self.max_tokens is not None:
            ranked = ranked[: self.max_tokens - len(self._special())]
        idf = None
        if self.output_mode == "tf_idf":
            idf = [np.log(1 + self._seen / (1 + self._documents[t])) for t in ranked]
        self.set_vocabulary(ranked, idf)
        self.reset_state()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Make the vocabulary from the tokens of an array or a data set (its first ``steps`` batches): frequent ones first."""
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    # -- the call ----------------------------------------------------------------------------------------------------

    def look_up(self, x: np.ndarray) -> np.ndarray:
        return self._back(x) if self.invert else self._find(self._array(x).ravel().tolist()).reshape(np.shape(x))

    def _find(self, tokens: list[Any]) -> np.ndarray:
        """The numbers of tokens."""
        if not self._tokens:
            check.fail(self, "has no vocabulary yet: call adapt(data) or set_vocabulary(tokens) first")
        numbers = np.fromiter(map(self._numbers.get, tokens, itertools.repeat(-1)), "int64", len(tokens))
        unknown = np.flatnonzero(numbers == -1)
        if len(unknown):
            others = [tokens[i] for i in unknown]
            if not self.num_oov_indices:
                check.fail(self, f"num_oov_indices=0 and unknown tokens: {sorted(set(others))[:10]}")
            numbers[unknown] = len(self._special()) - self.num_oov_indices + self._unknown(others)
        return numbers

    def look_up_in(self, words: Any, x: Tensor) -> Tensor:
        if self.invert:
            return words.pick([*self.get_vocabulary(), self.oov_token], x)
        if not self._tokens:
            check.fail(self, "has no vocabulary yet: call adapt(data) or set_vocabulary(tokens) first")
        x = words.cast(x, "int64") if isinstance(self._tokens[0], int) else words.texts(x)
        special = len(self._special())
        numbers = words.find(x, self._tokens)
        known, numbers = numbers >= 0, numbers + special
        if self.num_oov_indices == 0:
            masked = known if self.mask_token is None else known | words.equal(x, self.mask_token)
            words.demand(masked, f"{self.name}: num_oov_indices=0 and unknown tokens")
            unknown: Any = special
        elif self.num_oov_indices == 1:
            unknown = special - 1
        else:
            plain = isinstance(self._tokens[0], int) and self.oov_method == "floormod"
            n = self.num_oov_indices
            unknown = special - n + (words.mod(x, n) if plain else words.buckets(x, n, self.salt))
        numbers = words.where(known, numbers, unknown)
        if self.mask_token is None:
            return numbers
        masked = words.cast(0 if self.output_mode == "int" else -2, "int64")
        return words.where(words.equal(x, self.mask_token), masked, numbers)

    def _unknown(self, tokens: list[Any]) -> Any:
        if self.num_oov_indices == 1:
            return 0
        if isinstance(tokens[0], int) and self.oov_method == "floormod":
            return np.array(tokens) % self.num_oov_indices
        return hashes.buckets(texts(np.array(tokens, object)), self.num_oov_indices, self.salt)

    def _back(self, x: np.ndarray) -> np.ndarray:
        table = np.array([*self.get_vocabulary(), self.oov_token], object)
        x = np.asarray(x, "int64")
        return table[np.where((x >= 0) & (x < len(table) - 1), x, len(table) - 1)]

    def call(self, inputs: Any) -> Any:
        return self._encoded(self.looked_up(inputs))

    def _encoded(self, ids: Tensor) -> Tensor:
        if self.output_mode == "int":
            return ids
        # A model is built from its file before the vocabulary is read; its size is in the config.
        waiting = not self._tokens and self._expected is not None
        depth: Any = (
            self.max_tokens if self.pad_to_max_tokens else self._expected if waiting else self.vocabulary_size()
        )
        if self.output_mode != "tf_idf":
            return encoded(ids, self.output_mode, depth, "int64")
        idf = self._idf
        if idf is None:
            if not waiting:
                check.fail(self, "has no idf_weights yet: call adapt(data) first")
            idf = np.ones(depth)
        dtype = self.compute_dtype
        weights = ops.convert_to_tensor(np.append(idf, np.zeros(depth - len(idf))), dtype)
        return ops.multiply(encoded(ids, "count", depth, dtype), weights)

    # -- files -------------------------------------------------------------------------------------------------------

    def config_value(self, name: str) -> Any:
        if name == "vocabulary":
            return self._given
        if name == "idf_weights":
            return self._idf_given
        return super().config_value(name)

    def get_config(self) -> Config:
        config = {**super().get_config(), "vocabulary_size": self.vocabulary_size() if self._tokens else None}
        config.setdefault("oov_method", self.oov_method)
        order = (*self.config_order, "encoding")
        return {n: config[n] for n in order if n in config}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The layer that the config describes; it may hold tokens, but not the path of a file."""
        config = dict(config)
        size = config.pop("vocabulary_size", None)
        if cls is StringLookup:
            config.pop("oov_method", None)
        made = super().from_config(config)
        allowance.take(made, (size or 0,))
        made._expected = size
        return made

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary to a file in the folder."""
        if self._tokens and self._given is None:
            Path(dir_path, ASSET).write_bytes("\n".join(str(t) for t in self.get_vocabulary()).encode())

    def load_assets(self, dir_path: str) -> None:
        """Read the vocabulary that ``save_assets`` wrote."""
        path = Path(dir_path, ASSET)
        if path.is_file() and self._given is None:
            tokens = [self._token(t) for t in path.read_bytes().decode("utf-8", "replace").split("\n")]
            n = len(self._special())
            self._set_tokens(tokens[n:] if tokens[:n] == self._special() else tokens)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        if self.output_mode == "tf_idf" and self._idf is not None and self._given is None:
            store["idf_weights"] = self._idf

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self._idf = np.asarray(store["idf_weights"], "float32")


class StringLookup(_Lookup):
    __doc__ = (_Lookup.__doc__ or "").replace("from tokens to", "from strings to", 1)

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.encoding = check.one_of(self, "encoding", encoding, ("utf-8",))
        self._set_up(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, salt, "floormod",
        )  # fmt: skip

    def _token(self, x: Any) -> str:
        return x.decode() if isinstance(x, bytes) else str(x)

    def _array(self, x: Any) -> np.ndarray:
        return texts(x)

    def call(self, inputs: Any) -> Any:
        if not self.invert:
            return super().call(inputs)
        if host.has_strings(backends.current()):
            return self.looked_up(inputs, "string")
        # An array of str: this backend has no tensors of them.
        if infer.is_abstract():
            backend = backends.current().name
            check.fail(
                self, f"gives strings, of which {backend} has no tensors; call it on what the model predicts", TypeError
            )
        return self._back(inputs if isinstance(inputs, np.ndarray) else ops.convert_to_numpy(inputs)).astype(str)


class IntegerLookup(_Lookup):
    __doc__ = (_Lookup.__doc__ or "").replace("from tokens to", "from ints to", 1)

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.vocabulary_dtype = check.one_of(self, "vocabulary_dtype", vocabulary_dtype, ("int64", "int32"))
        if salt is not None and oov_method != "farmhash":
            check.fail(self, f"salt goes with oov_method='farmhash', not {oov_method!r}")
        self._set_up(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, salt, oov_method,
        )  # fmt: skip

    def _token(self, x: Any) -> int:
        return int(x)

    def _array(self, x: Any) -> np.ndarray:
        return np.asarray(x).astype("int64")
