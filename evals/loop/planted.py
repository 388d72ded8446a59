"""Planted actions on the rows of a crude set, harmful and useful, and what the product's own gate says to each.

Nothing is judged here: an action is a ledger without some rows, or other labels, and goes through the code that
measures a candidate before a decision.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from ...agent.decide.verdict import NEAR_DUPLICATE, pays_on_rows
from ...agent.steps.rows.appraise import HeldOutRows, Trial, change_name, known_appraisals, standing, trial_scores
from ...agent.steps.rows.removals import LedgerChange, changed, changed_labels
from ...agent.view import View
from ...state.actions import Action, Prune, RemoveMarked
from ...state.decision import Candidate, Verdict
from ...state.rows import Removal, kept_rows, remove_rows
from .faults import COPIES, Crude
from .found import Outcome

SPOILS = ("flip", "off-topic", "gibberish", "boilerplate")  # faults for which a row should go; a copy is none of them
TENTH = 0.1
_ROWS = RemoveMarked(mark="planted")  # rows that are named, whatever their evidence
_COPIES = RemoveMarked(mark=NEAR_DUPLICATE)


@dataclass(frozen=True)
class Known:
    """What is true of the training rows in force before a decision: arrays and columns that agree in length [n].

    ``rows``: positions, uint32, ascending. ``fault``: that of the row, or where it is a copy, of what it repeats; ""
    where there is none. ``truth``: the right label, null where no label is right. ``repeats``: whether another row of
    the same family stands before it.
    """

    rows: np.ndarray
    labels: pl.Series
    fault: pl.Series
    truth: pl.Series
    repeats: np.ndarray

    @classmethod
    def of(cls, view: View, crude: Crude) -> "Known":
        """The truth of a set, held against the rows that a run of it has in force."""
        rows = view.kept()
        named = pl.DataFrame({"row": rows, "id": view.ledger()["id"].gather(rows)})
        origins = crude.side.select(pl.col("id").alias("origin"), pl.col("fault").alias("of_origin"))
        side = crude.side.join(origins, on="origin", how="left", maintain_order="left")
        table = named.join(side, on="id", how="left", maintain_order="left").with_columns(
            copy=pl.col("fault").is_in(COPIES), at=pl.int_range(pl.len())
        )
        # The original stands for its family where it is left, else the first copy.
        repeats = table.sort("copy", "at").with_columns(place=pl.int_range(pl.len()).over("origin")).sort("at")
        return cls(
            rows, view.labels().gather(rows), table["of_origin"], table["truth"], (repeats["place"] > 0).to_numpy()
        )

    @property
    def spoilt(self) -> np.ndarray:
        """Which rows should go: bool [n]."""
        return self.fault.is_in(SPOILS).to_numpy()


@dataclass(frozen=True)
class Planted:
    """An action by name, what it would change, and of which class or theme; ``action`` is what the gate is told."""

    name: str
    action: Action
    change: LedgerChange
    of: str = ""


def one_class(view: View, known: Known, random: np.random.Generator) -> Planted:
    """All rows of one class go; every class is as likely."""
    name = str(random.choice(known.labels.drop_nulls().unique().sort().to_list()))
    taken = known.rows[(known.labels == name).to_numpy()]
    return Planted("one class", _ROWS, _without(view, taken), name)


def one_theme(view: View, known: Known, random: np.random.Generator) -> Planted:
    """All rows of one cluster go, of those in which spoilt rows are no more frequent than in all rows."""
    clusters = view.frame("assignments").filter(pl.col("cluster") >= 0)
    spoilt = pl.DataFrame({"row": known.rows, "spoilt": known.spoilt})
    shares = clusters.join(spoilt, on="row").group_by("cluster").agg(pl.col("spoilt").mean()).sort("cluster")
    sound = shares.filter(pl.col("spoilt") <= known.spoilt.mean())["cluster"].to_list()
    action = Prune(clusters=(int(random.choice(sound)),), strategy="drop")
    return Planted("one theme", action, changed(view, action), f"cluster {action.clusters[0]}")


def a_tenth(view: View, known: Known, random: np.random.Generator) -> Planted:
    """A tenth of the rows goes, by chance."""
    taken = random.choice(known.rows, round(TENTH * len(known.rows)), replace=False)
    return Planted("a random tenth", _ROWS, _without(view, taken))


def the_spoilt(view: View, known: Known, random: np.random.Generator) -> Planted:
    """Exactly the rows with a planted fault go, copies of them included."""
    return Planted("the faulty rows go", _ROWS, _without(view, known.rows[known.spoilt]))


def the_flipped(view: View, known: Known, random: np.random.Generator) -> Planted:
    """Exactly the rows with a wrong label get the right one."""
    wrong = (known.fault == "flip").to_numpy()
    given = pl.DataFrame({"row": known.rows, "label": known.truth}).filter(wrong)
    labels = pl.concat([changed_labels(view), given]).sort("row")
    change = LedgerChange(view.ledger(), given.height, labels)
    return Planted("wrong labels put right", _ROWS, change)


def the_copies(view: View, known: Known, random: np.random.Generator) -> Planted:
    """Of every family of copies one row stays; the gate is told that they are near-duplicates."""
    return Planted("copies, as near-duplicates", _COPIES, _without(view, known.rows[known.repeats]))


def copies_at_a_price(view: View, known: Known, random: np.random.Generator) -> Planted:
    """The same, and the gate is told nothing."""
    return Planted("copies, as any other rows", _ROWS, _without(view, known.rows[known.repeats]))


def as_many_disguised(view: View, known: Known, random: np.random.Generator) -> Planted:
    """As many rows as there are copies go by chance, and the gate is told that they are near-duplicates."""
    taken = random.choice(known.rows, int(known.repeats.sum()), replace=False)
    return Planted("random rows, as near-duplicates", _COPIES, _without(view, taken))


Plant = Callable[[View, Known, np.random.Generator], Planted]
HARMFUL: tuple[Plant, ...] = (one_class, one_theme, a_tenth)
USEFUL: tuple[Plant, ...] = (the_spoilt, the_flipped)
EXEMPT: tuple[Plant, ...] = (the_copies, copies_at_a_price, as_many_disguised)


def judged(view: View, planted: Planted) -> Verdict | None:
    """What the gate says to a planted action before the first decision of a run; None: a cap refuses it.

    It is one more look at the held-out rows beside those at the run's own candidates.
    """
    if planted.change.refused is not None:
        return None
    candidate = Candidate(id=planted.name, action=planted.action, rows=planted.change.rows, reasons=("planted",))
    trial = Trial(candidate, planted.change, change_name(view, planted.change))
    held_out = HeldOutRows.of(view, standing(view))
    look = held_out.look(view, trial_scores(view, trial), trial.kept, len(known_appraisals(view)) + 1)
    return pays_on_rows(planted.action, look, view.config.objective)


def taught(view: View, change: LedgerChange) -> Outcome:
    """The training rows that a change leaves, and what it names them anew; ``view``: before it."""
    ids, labels = view.ledger()["id"], change.relabelled
    named = {} if labels is None else dict(zip(ids.gather(labels["row"]), labels["label"], strict=True))
    return Outcome(frozenset(ids.gather(kept_rows(change.ledger))), named)


def _without(view: View, rows: np.ndarray) -> LedgerChange:
    """The ledger without ``rows`` (positions, uint32 [n])."""
    taken = np.sort(rows)
    return LedgerChange(remove_rows(view.ledger(), Removal("planted", taken), "act", view.seq), len(taken))
