"""A run in progress: its directory, its log and store, its state, and the clock.

Everything a step needs is reached from here, and everything a step does is recorded here, in one order:
artefacts first, then the event that names them, then (by the graph) the checkpoint.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .. import __version__
from ..state.canonical import sha256_json
from ..state.config import Config
from ..state.decision import RoundRecord
from ..state.errors import IntegrityError
from ..state.events import Event
from ..state.log import EventLog
from ..state.progress import Advance
from ..state.rows import kept_rows
from ..state.run import RunDirectory, fold
from ..state.store import Store
from ..tools.vectors.remote_encoder import sent_to
from .cli.progress import Reporter
from .llm.client import Model
from .llm.open import open_model


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
        self._last_event = time.monotonic()
        self._frames: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}
        if not self.log.events and next(self.store.refs(), None) is not None:
            raise IntegrityError(
                f"{run.log} is missing although the run has artefacts: it cannot be trusted or resumed"
            )
        shutil.rmtree(run.artifacts / "tmp", ignore_errors=True)  # of a process that was killed
        if self.log.events and self.log.events[0].config_sha != self.config_sha:
            raise IntegrityError(f"{run.settings} was changed since the run started: it does not have the logged hash")

    @cached_property
    def config_sha(self) -> str:
        """Hash of the whole configuration."""
        return sha256_json(self.config.model_dump(mode="json"))

    @cached_property
    def model(self) -> Model | None:
        """The language model of the run; None where the configuration names none."""
        model = open_model(self.run.llm, self.config, self.log.events)
        if model is not None:
            self.reporter.cost = lambda: str(model.purse)
            model.say = self.reporter.say
        return model

    @contextmanager
    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Iterator[Advance]:
        """Show the progress of a step, or of a part of one."""
        with self.reporter.step(name, total, unit) as advance:
            yield advance

    def record(
        self,
        type: str,
        *,
        round: int | None = None,
        artefacts: Mapping[str, str | None] | None = None,
        values: Mapping[str, Any] | None = None,
        inputs: list[str] | None = None,
        **fields: Any,
    ) -> Event:
        """Append an event, with the state patch it makes, and fold it into the state.

        Args:
            type: the name of the step.
            round: the round that begins with this event, if one does.
            artefacts: role to reference; None takes the role away.
            values: small JSON values of the state.
            inputs: roles the step read; their references are logged.
            fields: further parts of the event.
        """
        patch = {"round": round, "artefacts": dict(artefacts or {}), "values": dict(values or {})}
        now = time.monotonic()  # an event's seconds are those since the one before
        if self.texts_sent:  # since the last event, to be embedded elsewhere
            sent = {"sent_to": sent_to(self.config.embed), "texts_sent": self.texts_sent}
            fields["metrics"] = {**fields.get("metrics", {}), **sent}
            self.texts_sent = 0
        event = self._append(
            type=type,
            config_sha=self.config_sha,
            seed=self.config.seed,
            seconds=float(np.round(now - self._last_event, 3)),
            inputs=[{"role": role, "sha": self.state.artefacts[role]} for role in inputs or []],
            state=patch,
            **fields,
        )
        self._last_event = now
        self.state.apply(event)
        return event

    def start(self) -> None:
        """Log and say that the run begins, or goes on after a stop, and on which code, models and rules."""
        self.reporter.say("; ".join(f"{what}: {which}" for what, which in runs_on(self.config).items()))
        fields: dict[str, Any] = {"code": code_version(), "config_sha": self.config_sha, "seed": self.config.seed}
        if self.log.events:
            self.attempt += 1
            _ = self.model  # what a killed process had under way is this event's
            fields |= {"type": "resume", "metrics": {"torn_bytes": self.log.torn_bytes, "after": self.state.last}}
        else:
            params = {
                "input": self.source,
                "runs_on": runs_on(self.config),
                "config": self.config.model_dump(mode="json"),
            }
            fields |= {"type": "start", "params": params}
        self._append(**fields)

    def note(self, type: str, **fields: Any) -> Event:
        """Append an event that is no step: it changes nothing of what the run is."""
        return self._append(type=type, **fields)

    def note_failure(self, sentence: str) -> None:
        """Leave in the log why this process stopped; the state stays that of the last finished step."""
        self.note("error", error=sentence)

    def _append(self, **fields: Any) -> Event:
        """Append an event; the calls to the language model since the event before it are its own."""
        model = self.model if "model" in self.__dict__ else None  # not opened for the event's sake
        if model is not None:
            fields["llm"] = [*fields.get("llm", ()), *(call.model_dump() for call in model.drain())]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = self.log.append(run_id=self.run_id, attempt=self.attempt, ts=now, **fields)
        if model is not None:
            model.logged()
        return event

    def rested(self) -> None:
        """The time since the last event was a person's; it counts for no step and no budget."""
        self._last_event = time.monotonic()

    # What the artefacts hold -----------------------------------------------------------------------------------

    def frame(self, role: str, *columns: str) -> pl.DataFrame:
        """The table of a role, or some of its columns; kept in memory while the same artefact is asked for."""
        ref = self.state.artefacts[role]
        key = (ref, columns)
        if key not in self._frames:
            self._frames = {k: v for k, v in self._frames.items() if k[0] in self.state.artefacts.values()}
            self._frames[key] = self.store.frame(ref, list(columns) or None)
        return self._frames[key]

    def array(self, role: str) -> np.ndarray:
        """The array of a role, of the shape it was stored in, memory-mapped."""
        return self.store.array(self.state.artefacts[role])

    def ledger(self, role: str = "ledger") -> pl.DataFrame:
        """The row ledger in force, or the one on trial."""
        return self.frame(role)

    def kept(self, role: str = "ledger") -> np.ndarray:
        """Positions of the kept training rows, uint32 [n], ascending."""
        return kept_rows(self.ledger(role))

    def anchor(self) -> np.ndarray:
        """Positions of the held-out rows, uint32 [m], ascending."""
        return kept_rows(self.ledger(), "anchor")

    def text(self, rows: np.ndarray) -> pl.Series:
        """The normalised text of some positions, strings [n]; missing text is empty."""
        return self.frame("text", "text")["text"].gather(rows).fill_null("")

    def sources(self) -> pl.Series | None:
        """The source of every row by position, or None where the input names none."""
        if self.state.values.get("source_column") is None:
            return None
        return self.frame("rows", "source")["source"]

    def history(self) -> list[RoundRecord]:
        """The finished rounds, from the log."""
        return [RoundRecord.model_validate(event.metrics["record"]) for event in self.log.of_type("measure")]


def runs_on(config: Config) -> dict[str, str]:
    """Which models and rules a run works with, as said on the terminal, in the log, the report and the card."""
    embedding = "all-MiniLM-L6-v2 (embedded, on this machine)" if config.embed.model == "minilm" else config.embed.model
    if config.load.vector_column is not None:
        embedding = f"the column {config.load.vector_column}"
    minds = {role: "rules" if config.mind(role) == "rules" else str(config.llm.model) for role in ("policy", "critic")}
    if config.llm.model is None:
        minds["policy"] += " (no language model)"
    elif config.llm.base_url is not None:
        minds["address"] = config.llm.base_url
    return {"embedding": embedding, **minds}


def code_version() -> dict[str, str]:
    """The version of Recryst and, when it runs from a checkout, the commit."""
    version = {"version": __version__}
    root = Path(__file__).parent.parent
    if (root / ".git").exists():
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10
        )
        if found.returncode == 0:
            version["commit"] = found.stdout.strip()
    return version


def derived_seed(config: Config, *parts: int) -> int:
    """A seed for one purpose, derived from the run's seed: 31 bits, different for different ``parts``."""
    return int(np.random.SeedSequence([config.seed, *parts]).generate_state(1)[0] >> 1)
