"""When the rounds are over, the sealed rows are opened, once: what the run came to on rows that nobody looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ....state import events
from ....state.errors import IntegrityError
from ....state.phrases import Advance, silent
from ....state.report import Headline, ProbeMoved
from ....state.values import Role, Values
from ....tools.judge.paired import moved
from ....tools.write.figures import headline_in_words, headline_style
from ...session import Session
from ...view import View
from ..base import Content, Draft, Step
from ..clean import logged_frame
from ..experiment import borne_out
from ..measured import row_vectors, text_vectors
from ..probed import HeldOut, KnownRows, held_out_scores, held_out_weights
from .evidence import evidence_from
from .pairs import PAIR_ROLES, Pairs, pairs_of, said
from .seal import sealed_sha256


@dataclass(frozen=True)
class _Opened:
    """What the models say of the sealed rows.

    ``scores``: what the probes make of each, trained on the rows before the rounds and after them, float64 [2, probes,
    m]; ``evidence``: how well the rows before the rounds bear each out; ``pairs``: where the probes learn from them.
    """

    vectors: np.ndarray  # float32 [m, d]
    pairs: Pairs | None
    evidence: pl.DataFrame
    scores: np.ndarray
    embedded: int
    cached: int


class OpenSealed(Step[_Opened]):
    """Score the sealed rows by the rows as they stood before the first round and as they stand now.

    It is due once, after the last decision and before anything else is made of the rows: it changes none of them.
    """

    name = "open_sealed"
    takes = "the vectors of the sealed rows, what the probes make of every one, and how well each is borne out"

    def due(self, view: View) -> bool:
        return len(view.sealed()) > 0 and not view.has("sealed_scores")

    def total(self, view: View) -> int | None:
        return len(view.sealed())

    def measure(self, session: Session, view: View, advance: Advance) -> _Opened:
        rows, began = view.sealed(), before_the_rounds(view)
        vectors, (embedded, cached) = row_vectors(session, view, rows, advance)
        held, pairs = HeldOut(rows, vectors), None
        if view.has("pair_rows"):
            pairs, counts = _pairs(session, view, rows)
            embedded, cached = embedded + counts[0], cached + counts[1]
            held = HeldOut(rows, vectors, pairs.questions, pairs.answers)
        probes = (view.values.probes, view.values.probe_budget)
        # The vectors of either are a large part of a run's memory: never both at once.
        scores = [held_out_scores(then, probes, KnownRows.of(then), held, silent) for then in (began, view)]
        evidence = evidence_from(began, KnownRows.of(began), rows, vectors)
        return _Opened(vectors, pairs, evidence, np.stack(scores), embedded, cached)

    def logged(self, view: View, event: events.OpenSealed) -> _Opened:
        artefacts, rows, pairs = event.state.artefacts, view.sealed(), None
        vectors, scores = (view.store.array(artefacts[role] or "") for role in ("sealed_vectors", "sealed_scores"))
        if view.has("pair_rows"):
            pairs = Pairs(*(np.asarray(view.store.array(artefacts[role] or "")) for role in PAIR_ROLES)).of(rows)
        evidence = logged_frame(view, event, "sealed_evidence").drop("confirmed")
        return _Opened(np.asarray(vectors), pairs, evidence, np.asarray(scores), event.embedded, event.cached)

    def derive(self, view: View, measured: _Opened, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the rows are not those that were sealed, or what was measured is of other ones.
        """
        rows, sealed = view.sealed(), _sealing(view)
        sha = sealed_sha256(view, rows)
        if sha != sealed.sealed_sha256:
            raise IntegrityError("the sealed rows are not those whose hash was logged when they were sealed")
        texts = len(rows) * (1 if measured.pairs is None else 3)
        _check(view, measured, rows, 0 if view.has("given_vectors") else texts)
        evidence = measured.evidence.with_columns(confirmed=borne_out(view, measured.evidence))
        tables: dict[Role, Content] = {
            "sealed_vectors": measured.vectors,
            "sealed_evidence": evidence,
            "sealed_scores": measured.scores,
        }
        if measured.pairs is not None:
            tables |= dict(zip(PAIR_ROLES, _joined(pairs_of(view), measured.pairs), strict=True))
        found = headline(view, rows, evidence["confirmed"].to_numpy(), measured.scores)
        counts = {"rows": len(rows), "embedded": measured.embedded, "cached": measured.cached}
        return Draft(
            artefacts=tables,
            values=Values(headline=found),
            inputs=("ledger", "vectors"),
            fields={**counts, "sealed_sha256": sha},
            lines=((headline_in_words(found), headline_style(found)),),
        )


def before_the_rounds(view: View) -> View:
    """The run as it stood when the data were first measured: cleaned, and no action carried out yet."""
    return view.at(next(event.seq for event in view.events if event.type == "baseline"))


def headline(view: View, rows: np.ndarray, confirmed: np.ndarray, scores: np.ndarray) -> Headline:
    """What the run came to on sealed positions (uint32 [m]).

    Args:
        view: the run.
        rows: the positions; ``confirmed``: which of them count, bool [m].
        scores: of the probes, before and after, float64 [2, probes, m].
    """
    names = view.values.probes
    weights = held_out_weights(view, names, rows, confirmed)
    groups = np.asarray(view.array("groups"))[rows]
    before, after = scores.mean(axis=1)
    by_probe = [
        (name, moved(was, now, weights.confirmed, groups)) for name, was, now in zip(names, *scores, strict=True)
    ]
    counts = confirmed & ~np.isnan(before) & ~np.isnan(after)
    return Headline(
        rows=len(rows),
        confirmed=int(counts.sum()),
        groups=len(np.unique(groups[counts])),
        score=moved(before, after, weights.confirmed, groups),
        raw=moved(before, after, weights.raw, groups),
        probes=tuple(ProbeMoved(name=name, moved=one) for name, one in by_probe if one is not None),
    )


def _sealing(view: View) -> events.HoldOut:
    return next(event for event in view.events if isinstance(event, events.HoldOut))


def _pairs(session: Session, view: View, rows: np.ndarray) -> tuple[Pairs, tuple[int, int]]:
    """Positions (uint32 [m]) embedded as pairs; how many texts were embedded, and cached."""
    pair = said(view, rows)
    assert pair is not None
    (questions, one), (answers, other) = (text_vectors(session, text, silent) for text in pair)
    return Pairs(rows, questions, answers), (one[0] + other[0], one[1] + other[1])


def _joined(known: Pairs, more: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs with others that are not among them yet, in order of position."""
    rows, questions, answers = (np.concatenate([one, other]) for one, other in zip(known, more, strict=True))
    order = np.argsort(rows, kind="stable")
    return rows[order], questions[order], answers[order]


def _check(view: View, measured: _Opened, rows: np.ndarray, texts: int) -> None:
    """What was measured is of positions (uint32 [m]), of which at most ``texts`` were embedded.

    Raises:
        IntegrityError: it is not.
    """
    lengths = {len(measured.vectors), measured.scores.shape[-1]}
    if measured.pairs is not None:
        lengths |= {len(measured.pairs.questions), len(measured.pairs.answers)}
    whole = measured.scores.shape == (2, len(view.values.probes), len(rows)) and lengths == {len(rows)}
    if not whole or not np.array_equal(measured.evidence["row"].to_numpy(), rows):
        raise IntegrityError("what was measured is of other rows than were sealed")
    if measured.embedded + measured.cached > texts:
        raise IntegrityError(f"{measured.embedded} embedded and {measured.cached} cached, of {texts} texts")
