"""What layers of texts and hashes do on the host, in TensorFlow's own ops: for files, which hold no Python."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_PUNCTUATION = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""
where, equal, cast, mod = tf.where, tf.equal, tf.cast, tf.math.floormod
reshape, shape = tf.reshape, tf.shape


def texts(x: Any) -> Any:
    return x if x.dtype == tf.string else tf.strings.as_string(x)


def fingerprints(x: Any) -> Any:
    """FarmHash's Fingerprint64 of strings, as int64."""
    return tf.reshape(tf.bitcast(tf.fingerprint(tf.reshape(x, [-1])), tf.int64), tf.shape(x))


def buckets(x: Any, n: int, salt: Sequence[int] | None = None) -> Any:
    if salt is None:
        return tf.strings.to_hash_bucket_fast(texts(x), n)
    return tf.strings.to_hash_bucket_strong(texts(x), n, list(salt))


def find(x: Any, words: Sequence[Any]) -> Any:
    """The place of each string or int among ``words``, -1 if it is not there."""
    keys = fingerprints if x.dtype == tf.string else tf.identity
    with tf.init_scope():
        known = tf.constant(words, x.dtype, [len(words)])
        order = np.argsort(keys(known).numpy(), kind="stable")
        known = tf.gather(known, order).numpy()
        sorted_keys = keys(tf.constant(known)).numpy()
    flat = tf.reshape(x, [-1])
    at = tf.minimum(tf.searchsorted(sorted_keys, keys(flat), out_type=tf.int64), len(words) - 1)
    found = tf.where(tf.equal(tf.gather(known, at), flat), tf.gather(order.astype("int64"), at), -1)
    return tf.reshape(found, tf.shape(x))


def pick(table: Sequence[Any], x: Any) -> Any:
    """The entries of ``table`` at places, its last one for places that it has not."""
    last = len(table) - 1
    return tf.gather(tf.constant(table), tf.where((x >= 0) & (x < last), x, last))


def demand(good: Any, message: str) -> None:
    tf.debugging.Assert(tf.reduce_all(good), [message])


def standardized(x: Any, lower: bool, strip: bool) -> Any:
    x = tf.strings.lower(x) if lower else x
    return tf.strings.regex_replace(x, _PUNCTUATION, "") if strip else x


def rows(x: Any, split: str | None, ngrams: Sequence[int] | None) -> Any:
    """The tokens of each string of a vector, ragged."""
    if split is None:
        found = tf.RaggedTensor.from_tensor(x[:, None])
    else:
        found = tf.strings.split(x) if split == "whitespace" else tf.strings.unicode_split(x, "UTF-8")
    return found if ngrams is None else tf.strings.ngrams(found, list(ngrams), separator=" ")


def padded(rows: Any, flat: Any, width: int | None, fill: int) -> Any:
    """Numbers for the tokens of ``rows``, with ``fill`` behind the shorter ones."""
    return rows.with_flat_values(flat).to_tensor(tf.cast(fill, flat.dtype), shape=[None, width])


def crossed(parts: Any, n: int, mul: int, key: int) -> Any:
    """The bucket in [0, n) of each combination of the ints of ``parts``, by mixing with two constants."""
    factor, shift = tf.constant(mul, tf.uint64), tf.constant(47, tf.uint64)

    def mixed(x: Any) -> Any:
        return x ^ tf.bitwise.right_shift(x, shift)

    result = tf.fill(tf.shape(parts)[1:], tf.constant(key, tf.uint64))
    for part in tf.unstack(parts):
        result = result ^ factor ^ (mixed(tf.bitcast(tf.cast(part, tf.int64), tf.uint64) * factor) * factor)
        result = mixed(mixed(result * factor) * factor)
    return tf.cast(result % tf.constant(n, tf.uint64), tf.int64)
