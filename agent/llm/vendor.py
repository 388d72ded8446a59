"""What the vendors share: their clients opened and closed, faults read, streams put together, batches collected."""

import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import orjson

from ...state.canonical import Json
from ...tools.vectors import vendors
from ...tools.vectors.net import Fault
from . import OnText, Provider
from .wire import member, sound


class Vendor(Provider):
    """A provider behind a server; a vendor's own module has what differs on the wire."""

    name: vendors.Vendor

    @property
    def local(self) -> bool:
        """Whether texts stay on this machine."""
        return vendors.stays_local(self.name, self.model, self._params.base_url)

    @property
    def address(self) -> str:
        """As ``Provider.address``."""
        return vendors.address(self.name, self._params.base_url)

    def ready(self) -> None:
        """As ``Provider.ready``."""
        with self._client(1.0):
            vendors.reach(self.name, self._params.base_url)

    def send(self, body: Mapping[str, Any], timeout: float, on_text: OnText | None = None) -> Json:
        """As ``Provider.send``."""
        with self._faults():
            if on_text is None:
                return sound(self._whole(body, timeout), self.read)
            if (answer := self._streamed(body, timeout, on_text)) is None:
                raise Fault("unsure", "the stream ended before the answer did")
            return sound(answer, self.read)

    def _faults(self) -> AbstractContextManager[None]:
        return vendors.faults(self.name, self._params.base_url)

    @abstractmethod
    def _client(self, timeout: float) -> AbstractContextManager[Any]:
        """The vendor's client, ``timeout`` in seconds."""

    @abstractmethod
    def _whole(self, body: Mapping[str, Any], timeout: float) -> bytes | str:
        """The answer as the server sent it, in one."""

    @abstractmethod
    def _streamed(self, body: Mapping[str, Any], timeout: float, on_text: OnText) -> Json | None:
        """The answer that a stream's parts make up, or None where it ended before the answer did."""


class BatchVendor(Vendor):
    """A vendor with a batch API."""

    batches = True

    def submit(self, bodies: Mapping[str, Mapping[str, Any]], timeout: float) -> str:
        """Hand in a batch of bodies by request hash; returns the batch's id.

        Raises:
            Fault: the attempt failed.
        """
        with self._faults():
            return str(member(self._hand_in(bodies, timeout), "id", str))

    def collect(self, batch: str, timeout: float) -> dict[str, Json] | None:
        """The answers of a batch by request hash (failed ones are missing), or None while it is in progress.

        Raises:
            Fault: the attempt failed.
        """
        with self._faults():
            lines = self._results(batch, timeout)
            if lines is None:
                return None
            answers = {}
            for line in lines:
                item = orjson.loads(line)
                if (answer := self._succeeded(item)) is not None:
                    with contextlib.suppress(Fault):  # it counts as failed, and is asked again by itself
                        answers[member(item, "custom_id", str)] = sound(answer, self.read)
            return answers

    @abstractmethod
    def _hand_in(self, bodies: Mapping[str, Mapping[str, Any]], timeout: float) -> Json:
        """What the server says of a batch it took."""

    @abstractmethod
    def _results(self, batch: str, timeout: float) -> Iterable[bytes | str] | None:
        """A batch's results, one JSON object a line, or None while it is in progress."""

    @abstractmethod
    def _succeeded(self, item: Json) -> Json | None:
        """The answer in one result, or None where the question failed."""
