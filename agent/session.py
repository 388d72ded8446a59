"""A run being written: its directory, its log and store, its language model, its reporter and the clock.

A step reads the run through ``view`` and everything it does is recorded here, in one order: artefacts first, then the
event that names them, then (by the graph) the checkpoint.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from .. import __version__
from ..state.canonical import Json, canonical_json, sha256_json
from ..state.config import Config
from ..state.errors import IntegrityError
from ..state.events import Event
from ..state.log import EventLog
from ..state.notes import Sent
from ..state.phrases import Advance, silent
from ..state.run import RunDirectory
from ..state.store import Store
from ..state.values import Role, fold
from ..tools.cores import cores
from ..tools.vectors.drawing import Drawing
from ..tools.vectors.embed import Encoder, encoder_for
from ..tools.vectors.encoders.remote import sent_to
from ..tools.vectors.encoders.windows import Reading
from .llm.client import Model
from .llm.open import open_model
from .steps.base import Content, Draft, Plain
from .view import View

if TYPE_CHECKING:
    from .cli.progress import Reporter


class Session:
    """One process working on one run. The run directory must be locked by the caller."""

    def __init__(self, run: RunDirectory, reporter: Reporter) -> None:
        self.run = run
        self.reporter = reporter
        self.source, self.config = run.read_settings()
        self.store = Store(run.artifacts)
        self.log = EventLog(run.log)
        self.state = fold(self.log.events)
        self.attempt = 1 + len(self.log.of_type("resume"))
        self.run_id = (
            self.log.events[0].run_id if self.log.events else sha256_json([str(run.root), time.time_ns()])[:12]
        )
        self.texts_sent = 0  # to an embedding model on another machine, since the last event
        self.reading = Reading()  # of the texts embedded anew, since the round began
        self.embedded_by: str | None = None  # what computed the vectors, in words; None: no text was embedded
        self._encoder: tuple[Encoder, ExitStack] | None = None  # of this step
        self.drawing: Drawing | None = None  # the maps that another process draws for the report
        self.ask_next = False  # the next action is asked about, although it was approved beforehand …
        self.asked = -1  # … as this one was: the event that decided on it
        self.passages: list[str] | None = None  # left out of what is embedded; None: not sought yet
        self._last_event = time.monotonic()
        self._tables: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}
        if not self.log.events and next(self.store.refs(), None) is not None:
            raise IntegrityError(
                f"{run.log} is missing although the run has artefacts: it cannot be trusted or resumed"
            )
        shutil.rmtree(run.artifacts / "tmp", ignore_errors=True)  # of a process that was killed
        if self.log.events and getattr(self.log.events[0], "config_sha", "") != self.config.sha():
            raise IntegrityError(f"{run.settings} was changed since the run started: it does not have the logged hash")

    @property
    def view(self) -> View:
        """The run as it stands."""
        events = tuple(self.log.events)
        return View(self.run, self.store, self.config, self.state, events, lambda: self.model, self._tables)

    @cached_property
    def model(self) -> Model | None:
        """The language model of the run; None where the configuration names none."""
        model = open_model(self.run.llm, self.config, self.log.events)
        if model is not None:
            self.reporter.cost = lambda: str(model.purse)
            model.say = self.reporter.say
        return model

    @property
    def encoder(self) -> Encoder:
        """The model that turns text into vectors, open until the step ends."""
        if self._encoder is None:
            opened = ExitStack()
            encoder = opened.enter_context(encoder_for(self.config.embed, self.view.values.ingested))
            self._encoder = encoder, opened
        return self._encoder[0]

    def _close_encoder(self) -> None:
        if self._encoder is not None:
            self._encoder[1].close()
            self._encoder = None

    def step(self, name: str, total: int | None = None, unit: str = "rows") -> AbstractContextManager[Advance]:
        """Show the progress of a step, or of a part of one; without a unit nothing is shown."""
        return self.reporter.step(name, total, unit) if unit else nullcontext(silent)

    def record(self, name: str, draft: Draft) -> Event:
        """Store what a draft holds, append its event, fold it into the state, and say what a person is to know."""
        fields = draft.event(self.view, self._put)
        now = time.monotonic()  # an event's seconds are those since the one before
        if self.texts_sent:
            fields["sent"] = Sent(to=sent_to(self.config.embed), texts=self.texts_sent).model_dump()
            self.texts_sent = 0
        self._close_encoder()
        event = self.append(name, seconds=float(np.round(now - self._last_event, 3)), **fields)
        self._last_event = now
        self.state = self.state.after(event)
        for line, style in draft.lines:
            self.reporter.say(line, style)
        return event

    def _put(self, role: Role, content: Content) -> str | None:
        """The reference of a content, stored if it is not yet."""
        if isinstance(content, pl.DataFrame):
            return self.store.put_frame(content)
        if isinstance(content, np.ndarray):
            return self.store.put_array(content)
        if isinstance(content, pa.Table):
            with self.store.scratch() as folder:
                pq.write_table(content, folder / "table.parquet", compression="zstd")
                return self.store.adopt(folder / "table.parquet")
        return self.store.put_json(content.value) if isinstance(content, Plain) else content

    def start(self) -> None:
        """Log and say that the run begins, or goes on after a stop, and on which code, models and rules."""
        self.reporter.say("; ".join(f"{what}: {which}" for what, which in runs_on(self.config).items()))
        if {*self.config.reduce.methods} - {"pca"} and self.state.last != "publish" and cores() > 1:
            self.drawing = Drawing()
        common: Json = {"code": code_version(), "config_sha": self.config.sha(), "seed": self.config.seed}
        if defaults := self.config.unwritten():
            common["defaults"] = defaults
            named = ", ".join(f"{key} = {canonical_json(value).decode()}" for key, value in defaults.items())
            self.reporter.say(
                f"settings that came after the build that began this run stand at their defaults: {named}"
            )
        if self.log.events:
            self.attempt += 1
            _ = self.model  # what a killed process had under way is this event's
            self.append("resume", **common, torn_bytes=self.log.torn_bytes, after=self.state.last)
        else:
            runs = {"runs_on": runs_on(self.config), "config": self.config.written()}
            self.append("start", **common, input=self.source, **runs)

    def append(self, type: str, **fields: object) -> Event:
        """Append an event; the calls to the language model since the event before it are its own."""
        model = self.model if "model" in self.__dict__ else None  # not opened for the event's sake
        calls = [] if model is None else [call.model_dump() for call in model.drain()]
        fields["llm"] = [*fields.pop("llm", ()), *calls]  # type: ignore[misc]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = self.log.append(type=type, run_id=self.run_id, attempt=self.attempt, ts=now, **fields)
        if model is not None:
            model.logged()
        return event

    def rested(self) -> None:
        """The time since the last event was a person's; it counts for no step and no budget."""
        self._last_event = time.monotonic()


def runs_on(config: Config) -> dict[str, str]:
    """Which models and rules a run works with, as said on the terminal, in the log, the report and the card."""
    embedding = "all-MiniLM-L6-v2 (embedded, on this machine)" if config.embed.model == "minilm" else config.embed.model
    if config.load.vector_column is not None:
        embedding = f"the column {config.load.vector_column}"
    model = str(config.llm.model)
    roles = {role: "rules" if config.backend(role) == "rules" else model for role in ("policy", "critic")}
    if config.llm.model is None:
        roles["policy"] += " (no language model)"
    elif config.llm.base_url is not None:
        roles["address"] = config.llm.base_url
    return {"embedding": embedding, **roles}


def code_version() -> dict[str, str]:
    """The version of Recryst and, when it runs from a checkout, the commit."""
    version = {"version": __version__}
    root = Path(__file__).parent.parent
    if (root / ".git").exists() and shutil.which("git"):
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10
        )
        if found.returncode == 0:
            version["commit"] = found.stdout.strip()
    return version
