"""A run as it stood at one event: what the loop, the audit, the accounts and the evaluations read through.

A view never changes. ``events`` are those that stood before, so that ``seq`` is the number of the event that comes
next, and ``state`` is their fold. ``model`` answers questions: in the loop it is the live one, in the audit it answers
from the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl

from ..state.config import Config
from ..state.decision import Critique, Decision, RoundRecord
from ..state.errors import IntegrityError
from ..state.events import Event, Measure
from ..state.log import read_log
from ..state.notes import Start
from ..state.params.vectors import ClusterParams
from ..state.report import ClusterReport, Objective
from ..state.rows import kept_rows
from ..state.run import RunDirectory
from ..state.store import Store
from ..state.values import Role, RunState, Trial, Values, fold

if TYPE_CHECKING:
    from .llm.client import Model

_T = TypeVar("_T")
_Held = dict[tuple[str, tuple[str, ...]], Any]


@dataclass(frozen=True)
class View:
    """One run, read. ``held`` keeps in memory what follows from artefacts, shared by the views of one process."""

    run: RunDirectory
    store: Store
    config: Config
    state: RunState
    events: Sequence[Event]
    open_model: Callable[[], Model | None] = lambda: None
    held: _Held = field(default_factory=dict, compare=False, repr=False)
    tried_labels: pl.DataFrame | None = None  # in force instead of those in the state: row, label
    memo: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)  # derived once per view

    @classmethod
    def open(cls, root: Path) -> View:
        """The run in ``root`` as its log ends.

        Raises:
            UsageError: there is no run in that folder.
            IntegrityError: the log was changed.
        """
        run = RunDirectory.open(root)
        events, _ = read_log(run.log)
        return cls(run, Store(run.artifacts), run.read_settings()[1], fold(events), events)

    @classmethod
    def begun(cls, run: RunDirectory) -> View:
        """A run that was made a moment ago, before its first event."""
        return cls(run, Store(run.artifacts), run.read_settings()[1], fold([]), [])

    def at(self, seq: int) -> View:
        """The same run as it stood before the event ``seq``."""
        events = self.events[:seq]
        return View(self.run, self.store, self.config, fold(events), events, held=self.held)

    @property
    def seq(self) -> int:
        """The number of the event that comes next."""
        return len(self.events)

    @property
    def values(self) -> Values:
        """The small values of the state."""
        return self.state.values

    @cached_property
    def model(self) -> Model | None:
        """The language model; None where the run has none."""
        return self.open_model()

    @property
    def source(self) -> str:
        """What the run reads: a path, ``-``, or the name of a data set on a hub."""
        return next((event.input for event in self.events if isinstance(event, Start)), "")

    # What the artefacts hold -----------------------------------------------------------------------------------

    def has(self, *roles: Role) -> bool:
        """Whether there is an artefact for every one of ``roles``."""
        return all(role in self.state.artefacts for role in roles)

    def ref(self, role: Role) -> str:
        """The reference that stands for a role.

        Raises:
            IntegrityError: nothing does, so that the log lacks a step.
        """
        try:
            return self.state.artefacts[role]
        except KeyError:
            raise IntegrityError(f"the log names no {role}") from None

    def frame(self, role: Role, *columns: str) -> pl.DataFrame:
        """The table of a role, or some of its columns."""
        return self.follows(role, columns, lambda: self.store.frame(self.ref(role), list(columns) or None))

    def follows(self, role: Role, what: tuple[str, ...], make: Callable[[], _T]) -> _T:
        """What follows from the artefact of a role, named by ``what``; kept in memory while that is in force."""
        key = (self.ref(role), what)
        if key not in self.held:
            in_force = set(self.state.artefacts.values())
            for other in [other for other in self.held if other[0] not in in_force]:
                del self.held[other]
            self.held[key] = make()
        found: _T = self.held[key]
        return found

    def array(self, role: Role) -> np.ndarray:
        """The array of a role, of the shape it was stored in, memory-mapped."""
        return self.store.array(self.ref(role))

    def json(self, role: Role) -> Any:
        """The JSON value of a role."""
        return self.store.json(self.ref(role))

    def path(self, role: Role) -> Path:
        """The file of a role, its bytes verified."""
        return self.store.verified_path(self.ref(role))

    # Rows --------------------------------------------------------------------------------------------------------

    def ledger(self, role: Role = "ledger") -> pl.DataFrame:
        """The row ledger in force, or the one on trial."""
        return self.frame(role)

    def positions(self, ids: pl.Series) -> np.ndarray:
        """The positions of rows by their ids (strings [n]), uint32 [n]. Each must be one of the run's."""
        known = self.ledger().select("id", at=pl.int_range(pl.len(), dtype=pl.UInt32))
        return ids.alias("id").to_frame().join(known, on="id", how="left", maintain_order="left")["at"].to_numpy()

    def kept(self, role: Role = "ledger") -> np.ndarray:
        """Positions of the kept training rows, uint32 [n], ascending."""
        return kept_rows(self.ledger(role))

    def anchor(self) -> np.ndarray:
        """Positions of the held-out rows, uint32 [m], ascending."""
        return kept_rows(self.ledger(), "anchor")

    def sealed(self) -> np.ndarray:
        """Positions of the rows that nothing looks at until the rounds are over, uint32 [m], ascending."""
        return kept_rows(self.ledger(), "sealed")

    def held_out(self) -> np.ndarray:
        """Positions of the rows of the input that are no training rows, anchor and sealed, uint32 [m], ascending."""
        return np.sort(np.concatenate([self.anchor(), self.sealed()]))

    def text(self, rows: np.ndarray) -> pl.Series:
        """The normalised text of positions (uint32 [n]), strings [n]; missing text is empty."""
        return self.texts().gather(rows).fill_null("")

    def texts(self) -> pl.Series:
        """The normalised text of every position, strings; missing text is null."""
        return self.frame("text", "text")["text"]

    def content(self, rows: np.ndarray) -> pl.Series:
        """What positions (uint32 [n]) are compared by, strings [n]; where there is none it is empty."""
        return self.contents().gather(rows).fill_null("")

    def contents(self) -> pl.Series:
        """What every position is compared by (strings, as ``content.content_of`` gives them, normalised)."""
        texts = self.frame("text")
        return texts["text"] if "content" not in texts.columns else texts["content"].fill_null(texts["text"])

    def labels(self) -> pl.Series:
        """The class label in force of every position, strings; null where there is none.

        That is the label of the input, or for rows that were relabelled the new one.
        """
        labels = self.frame("rows", "label")["label"]
        if self.tried_labels is None and not self.has("relabelled"):
            return labels
        changed = self.frame("relabelled") if self.tried_labels is None else self.tried_labels
        return labels.clone().scatter(changed["row"], changed["label"])  # which changes a series in place

    def relabelled(self) -> pl.DataFrame:
        """The rows in force that have another label than in the input: ``row`` uint32; ``was``, ``label`` strings."""
        if not self.has("relabelled"):
            return pl.DataFrame(schema={"row": pl.UInt32, "was": pl.String, "label": pl.String})
        was = self.frame("rows", "label")["label"]
        changed = self.frame("relabelled").sort("row")
        changed = changed.with_columns(was=was.gather(changed["row"])).select("row", "was", "label")
        stands = (self.ledger("ledger")["status"] != "removed").gather(changed["row"])
        return changed.filter(stands & pl.col("was").ne_missing(pl.col("label")))

    def with_labels(self, changed: pl.DataFrame) -> View:
        """The same run, with other labels in force: ``row`` uint32 and ``label`` of all that are changed."""
        return replace(self, tried_labels=changed)

    def sources(self) -> pl.Series | None:
        """The source of every row by position, or None where the input names none."""
        return None if self.values.source_column is None else self.frame("rows", "source")["source"]

    # What was judged and decided ---------------------------------------------------------------------------------

    def report(self) -> ClusterReport:
        """The figures of the clusters in force."""
        return ClusterReport.model_validate(self.json("report"))

    def critiques(self) -> tuple[Critique, ...]:
        """The verdict on each of them, in the order of the report."""
        return tuple(Critique.model_validate(item) for item in self.json("critiques"))

    def history(self) -> tuple[RoundRecord, ...]:
        """The finished rounds."""
        return tuple(event.record for event in self.events if isinstance(event, Measure))

    @property
    def clustering(self) -> ClusterParams:
        """How the rows in force are clustered."""
        return _there(self.values.clustering, "clustering")

    @property
    def objective(self) -> Objective:
        """What the data in force are worth."""
        return _there(self.values.objective, "objective")

    @property
    def decision(self) -> Decision:
        """The decision of the round."""
        return _there(self.values.decision, "decision")

    @property
    def trial(self) -> Trial:
        """The action on trial."""
        return _there(self.values.trial, "trial")

    @property
    def quality_below(self) -> float | None:
        """The score that a tenth of the rows stayed below; None where none was learned."""
        return None if self.values.quality is None else self.values.quality.below

    def seed(self, *parts: int) -> int:
        """A seed for one purpose, derived from the run's: 31 bits, different for different ``parts``."""
        return derived_seed(self.config, *parts)


def derived_seed(config: Config, *parts: int) -> int:
    """A seed for one purpose, derived from the run's seed: 31 bits, different for different ``parts``."""
    return int(np.random.SeedSequence([config.seed, *parts]).generate_state(1)[0] >> 1)


def _there(value: _T | None, name: str) -> _T:
    if value is None:
        raise IntegrityError(f"the log has no {name} here")
    return value
