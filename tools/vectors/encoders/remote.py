"""Embedding models behind a server: OpenAI's, any that speaks OpenAI's format, and Ollama's.

Texts leave this machine unless the server is on it; which server got them stands in the log (``sent_to``). A server
may compute the same text twice with different last bits; the vector cache asks for each text once, so that a run
and its audit see one vector. That a name stands for the same model tomorrow is the server's word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import orjson

from ....state.errors import ModelError, UsageError
from ....state.params.vectors import EmbedParams
from ..neighbors import unit
from ..net import Fault, Retries, with_retries
from ..vendors import Vendor, address, faults, ollama_client, openai_client, reach, stays_local
from .windows import Reading

if TYPE_CHECKING:
    from ollama import Client
    from openai import OpenAI

_PROBE = "How long are your vectors?"  # ours, not a row
_MOST_INPUTS = 64  # texts in one request: OpenAI takes 2,048, but a small server would take minutes
_MOST_BYTES = 250_000  # of one request, which OpenAI bounds at 300,000 tokens: no token is shorter than a byte
_TEXT_BYTES = 8191  # of one text, by the same token: OpenAI's models read 8,191 tokens
_MOST_DIMENSIONS = 16_384


class RemoteEncoder:
    """An encoder behind a server, openai:NAME or ollama:NAME; nothing is sent before its dimensions or name are read.

    Making one raises ``UsageError`` where the name or the address is wrong; asking it, ``MissingExtraError`` where the
    vendor's package is not installed, and ``UsageError`` where the key is not in the environment.
    Of a text the first 8191 bytes are read, and no more characters than of any text (``embed``). Ollama cuts off what
    its model cannot hold.
    """

    reading = Reading()  # in windows, nothing

    def __init__(self, params: EmbedParams, retries: Retries | None = None) -> None:
        vendor, _, self.model = params.model.partition(":")
        if not self.model:
            form = "a model behind a server reads openai:NAME or ollama:NAME"
            raise UsageError(f"embed.model: {params.model!r} names no model; {form}")
        self.vendor: Vendor = "openai" if vendor == "openai" else "ollama"
        self._base_url = params.base_url
        self.server = urlsplit(address(self.vendor, params.base_url)).netloc
        self._batch = min(params.batch_size, _MOST_INPUTS)
        self._max_tokens = params.max_tokens
        self._retries = retries or Retries()
        self._dimensions: int | None = None

    @property
    def runtime(self) -> str:
        """What computes the vectors, in words."""
        return f"{self.vendor}:{self.model} at {self.server}"

    def ready(self) -> None:
        """See, without a request, that the server can be asked.

        Raises:
            MissingExtraError: the vendor's package is not installed.
            ModelError: nothing listens at the address.
            UsageError: the key is not in the environment.
        """
        with self._client():
            reach(self.vendor, self._base_url)

    @property
    def name(self) -> str:
        """Vendor, model, server, and what of a text is read."""
        reads = f"max_tokens={self._max_tokens} bytes={_TEXT_BYTES}"
        return f"{self.vendor}:{self.model} at {self.server} dimensions={self.dimensions} {reads}"

    @property
    def dimensions(self) -> int:
        """Length of a vector; the first time, the server is asked for one.

        Raises:
            ModelError: the server refused, or stayed out of reach.
        """
        if self._dimensions is None:
            with self._client() as client:
                self._dimensions = self._vectors(client, [_PROBE]).shape[1]
        return self._dimensions

    @property
    def local(self) -> bool:
        """Whether texts stay on this machine."""
        return stays_local(self.vendor, self.model, self._base_url)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of ``texts``: float32 [n, dimensions], of unit length.

        Raises:
            ModelError: the server refused, or stayed out of reach.
        """
        parts = [np.empty((0, self.dimensions), dtype=np.float32)]
        with self._client() as client:
            for part in _requests(texts, self._batch):
                parts.append(self._vectors(client, part))
                if parts[-1].shape[1] != self.dimensions:
                    raise ModelError(f"{self.vendor}:{self.model} gave vectors of different lengths")
        return unit(np.concatenate(parts))

    def _client(self) -> Any:
        make: Any = openai_client if self.vendor == "openai" else ollama_client
        return make(self._base_url, self._retries.deadline)

    def _vectors(self, client: Any, texts: list[str]) -> np.ndarray:
        """The vectors of one request, float32 [n, d]."""

        def attempt(seconds: float) -> np.ndarray:
            with faults(self.vendor, self._base_url):
                ask = self._openai if self.vendor == "openai" else self._ollama
                return _matrix(ask(client, texts, seconds), len(texts))

        try:
            return with_retries(attempt, self._retries)
        except Fault as fault:
            raise ModelError(f"{self.vendor}:{self.model}: {fault}; the vectors there are so far are kept") from fault

    def _openai(self, client: OpenAI, texts: list[str], seconds: float) -> list[list[float]]:
        # Without a format the client asks for base64, which not every server that speaks the format knows.
        answer = client.embeddings.with_raw_response.create(
            model=self.model, input=texts, encoding_format="float", timeout=seconds
        )
        items = sorted(orjson.loads(answer.content)["data"], key=lambda item: int(item["index"]))
        if [item["index"] for item in items] != list(range(len(texts))):
            raise ValueError("the answer does not have one vector for each text")
        return [item["embedding"] for item in items]

    def _ollama(self, client: Client, texts: list[str], seconds: float) -> list[list[float]]:
        return [list(vector) for vector in client.embed(model=self.model, input=texts, truncate=True).embeddings]


def is_remote(model: str) -> bool:
    """Whether ``embed.model`` names a model behind a server."""
    return model.partition(":")[0] in ("openai", "ollama")


def sent_to(params: EmbedParams) -> str | None:
    """``vendor at HOST`` where texts leave this machine to be embedded; None where they stay.

    Raises:
        UsageError: the name or the address is wrong.
    """
    if not is_remote(params.model):
        return None
    encoder = RemoteEncoder(params)
    return None if encoder.local else f"{encoder.vendor} at {encoder.server}"


def _requests(texts: Sequence[str], most: int) -> Iterator[list[str]]:
    """The texts in order, in as many requests as their number and bytes need."""
    part: list[str] = []
    size = 0
    for text in texts:
        # OpenAI refuses an empty text.
        cut = text.encode("utf-8", "replace")[:_TEXT_BYTES].decode("utf-8", "ignore") or " "
        length = len(cut.encode("utf-8"))
        if part and (len(part) == most or size + length > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(cut)
        size += length
    if part:
        yield part


def _matrix(vectors: list[list[float]], rows: int) -> np.ndarray:
    """Plain lists as float32 [rows, d].

    Raises:
        ValueError: they are not ``rows`` lists of finite numbers, all of one length.
    """
    matrix = np.asarray(vectors, dtype=np.float32)
    if matrix.ndim != 2 or len(matrix) != rows or not 0 < matrix.shape[1] <= _MOST_DIMENSIONS:
        raise ValueError("the answer does not have one vector for each text")
    if not np.isfinite(matrix).all():
        raise ValueError("a vector holds something that is not a finite number")
    return matrix
