"""A run of which only its log and ledger are told, step after step, for what reads finished runs."""

from typing import get_args

import numpy as np
import polars as pl

from recryst.agent.view import View
from recryst.state.config import Config
from recryst.state.events import Event
from recryst.state.notes import RowCounts
from recryst.state.rows import counts, hold_out, new_ledger, remove_rows
from recryst.state.run import RunDirectory
from recryst.state.store import Store
from recryst.state.values import StatePatch, Values, fold

_TYPES = {name: kind for kind in get_args(Event) for name in get_args(kind.model_fields["type"].annotation)}


class ToldRun:
    """A log without a chain, and a store. ``step`` appends an event that takes rows out of the ledger."""

    def __init__(self, folder, **columns):
        self.run, self.store, self.events = RunDirectory(folder), Store(folder / "artifacts"), []
        n = len(columns["text"])
        self.note("start", input="/home/me/rows.jsonl", runs_on={"policy": "rules", "embedding": "minilm"})
        blank = dict.fromkeys(("content", "empty_answer", "label", "source"), [None] * n)
        schema = {"row": pl.UInt32, **dict.fromkeys(("id", "text", *blank), pl.String), "empty_answer": pl.Boolean}
        ids = [f"id{at}" for at in range(n)]
        rows = pl.DataFrame({"row": range(n), "id": ids, **blank, **columns}).select(*schema).cast(schema)
        originals = pl.DataFrame(
            {"row": rows["row"], "url": columns.get("url", [None] * n)}, schema_overrides={"url": pl.String}
        )
        self.ledger = new_ledger(pl.Series(ids), 1)
        text = rows.select("text")
        self.step("load", rows=rows, originals=originals, text=text, values=Values(ingested=n))

    @property
    def view(self):
        """The run as it stands."""
        return View(self.run, self.store, Config(), fold(self.events), self.events)

    def note(self, type, state=None, **fields):
        """An event with these fields, whatever else its kind has."""
        common = {"seq": len(self.events), "run_id": "r", "ts": "t", "prev_hash": "", "hash": f"{len(self.events)}"}
        self.events.append(_TYPES[type].model_construct(type=type, state=state, **common, **fields))

    def step(self, type, *removals, values=None, round=None, trial=False, fields=None, **tables):
        """A step that takes these rows out, on trial or in force, and sets values and tables."""
        ledger = self.ledger
        for removal in removals:
            ledger = remove_rows(ledger, removal, type, len(self.events))
        self.put(type, ledger, values, round, trial, fields, **tables)

    def put(self, type, ledger, values=None, round=None, trial=False, fields=None, **tables):
        """A step after which this is the ledger, in force or on trial."""
        if not trial:
            self.ledger = ledger
        roles = {**tables, "trial_ledger" if trial else "ledger": ledger}
        refs = {
            role: self.store.put_array(held) if isinstance(held, np.ndarray) else self.store.put_frame(held)
            for role, held in roles.items()
        }
        patch = StatePatch(round=round, artefacts=refs, values=values or Values())
        said = {"seconds": 1.0, "counts": RowCounts(**counts(ledger)), "reasons": (), "outcome": None}
        self.note(type, patch, **{**said, **(fields or {})})

    def hold_out(self, *rows):
        """The anchor is drawn."""
        self.put("hold_out", hold_out(self.ledger, positions(*rows), len(self.events)))


def positions(*rows):
    """Positions as a ledger counts them."""
    return np.array(sorted(rows), dtype=np.uint32)
