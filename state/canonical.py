"""One spelling for every JSON value, so that equal values have equal hashes.

The form follows RFC 8785 in what matters here: UTF-8, keys sorted, no white space, no NaN or infinity.
"""

import contextlib
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

#: A JSON object that comes from, or goes to, a wire or a file.
Json = dict[str, Any]

_NATIVE = frozenset((str, int, bool, type(None)))
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def plain(value: Any) -> Any:
    """``value`` with numpy scalars and tuples turned into JSON-native ones; a non-finite float becomes null."""
    kind = type(value)
    if kind in _NATIVE:  # most leaves; whether something is a mapping takes long to ask
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def canonical_json(value: Any) -> bytes:
    """The canonical bytes of a JSON-like ``value``.

    Raises:
        TypeError: a value that JSON cannot hold (bytes, sets, text with lone surrogates).
    """
    with contextlib.suppress(TypeError):  # most values are plain already, which takes long to see here
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return orjson.dumps(plain(value), option=_OPTIONS)


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``."""
    return sha256_bytes(canonical_json(value))


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, read in 1 MiB blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
