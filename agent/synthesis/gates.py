"""Synthesis: new rows for thin clusters, after Self-Instruct (Wang et al. 2023, arXiv 2212.10560).

What the generator writes goes through the published filters (``tools/judge/self_instruct.py``), the run's own quality rules,
ROUGE-L against seeds and pool, the cluster's own neighbourhood, a judge and the check of diversity, in that order.

``synthesise`` is a function of its evidence, the model's answers and where the rows were measured to land; the auditor
calls it again with the recorded answers and the logged measurements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...state.canonical import sha256_json
from ...state.progress import Advance, silent
from ...state.report import Record
from ...tools.judge.diversity import Diversity, diversity
from ...tools.judge.self_instruct import Reason, answers_differ, norms, verdict
from ...tools.read.shapes import Parts
from ...tools.repeats.rouge import RougePool
from ..llm.client import Model
from .generator import ROWS_PER_QUESTION, Asked, Batch, Example, Target, judge, parts_of_answer, question, read

WAVES = 3  # times a cluster is asked for, at most; rows that were dropped are asked for again
FLOOR = 5  # percentile of the real rows' cosines to the centroid, below which a new row does not belong


@dataclass(frozen=True)
class Evidence:
    """What a synthesis rests on besides the model."""

    fields: tuple[str, ...]
    targets: tuple[Target, ...]
    pool: tuple[Parts, ...]  # rows that a new one may not repeat …
    texts: tuple[str, ...]  # … and their normalised texts
    render: Callable[[Sequence[Parts]], list[str]]  # the normalised text of rows, as loading and cleaning make it
    fails: Callable[[list[str]], list[bool]]  # which texts fail the run's quality rules
    rouge_l: float
    cosine: float  # from which a new row says what a row of the data says
    seed: int
    round: int


class Placed(Record):
    """Where a new row landed: its nearest centroid, the cosine to it, and the highest cosine to any row."""

    cluster: int
    cosine: float
    nearest: float


class New(Record):
    """A row that passed, and the rows that it was written after."""

    id: str
    parts: Parts
    text: str
    label: str | None
    cluster: int
    seeds: tuple[str, ...]


class Drop(Record):
    """What did not pass: one row, or all of an answer that could not be read."""

    reason: Reason
    cluster: int
    rows: int = 1
    parts: Parts | None = None


class Synthesised(Record):
    """The outcome. ``asked`` names the rows that were sent to the model."""

    rows: tuple[New, ...]
    drops: tuple[Drop, ...]
    asked: tuple[Asked, ...]
    narrowed: tuple[int, ...]  # clusters that get no more, because their rows became more alike
    cut_short: bool  # the budget of tokens or money ended it

    def figures(self) -> dict[str, Any]:
        """Seeds → generated → dropped by reason → kept, as logged and shown."""
        dropped: Counter[str] = Counter()
        for drop in self.drops:
            dropped[drop.reason] += drop.rows
        return {
            "seeds": len({seed for asked in self.asked for seed in asked.seeds}),
            "questions": len(self.asked),
            "generated": len(self.rows) + sum(dropped.values()),
            "dropped": dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
            "kept": len(self.rows),
            "narrowed": list(self.narrowed),
            "cut_short": self.cut_short,
        }


@dataclass(frozen=True)
class _Draft:
    """A row that has passed so far."""

    target: Target
    asked: Asked
    parts: Parts
    text: str
    cosine: float = 0.0  # to the centroid, once it was placed


@dataclass
class _Work:
    """What has been settled so far."""

    evidence: Evidence
    compared: tuple[str, ...]  # the fields that ROUGE-L compares
    pool: RougePool
    texts: set[str]
    kept: dict[int, list[_Draft]] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    narrowed: list[int] = field(default_factory=list)

    def drop(self, reason: Reason, draft: _Draft) -> None:
        """Note why a draft goes no further."""
        self.drops.append(Drop(reason=reason, cluster=draft.target.cluster, parts=draft.parts))

    def said(self, parts: Parts) -> str:
        """What ROUGE-L compares of a row."""
        return "\n".join(parts[name] for name in self.compared)


def synthesise(
    model: Model,
    evidence: Evidence,
    place: Callable[[list[str]], list[Placed]],
    advance: Advance = silent,
) -> Synthesised:
    """New rows for the targets; fewer than wanted where what the model writes does not pass.

    Args:
        model: the generator and the judge; both are asked without tools.
        evidence: the clusters, their rows and the bounds.
        place: where texts land (see ``Placed``), one entry per text.
        advance: called with questions answered.
    """
    work = _Work(evidence, _compared(evidence), RougePool(evidence.rouge_l), set(evidence.texts))
    work.pool.add(work.said(parts) for parts in evidence.pool)
    cut_short = False
    for wave in range(WAVES):
        questions = [] if cut_short else _questions(work, wave)
        answers = model.ask_many([request for _, _, request in questions], read, advance)
        drafts: list[_Draft] = []
        for (target, asked, _), batch in zip(questions, answers, strict=True):
            if batch is None:  # nothing was sent: there is no budget left
                cut_short = True
            else:
                work.asked.append(asked)
                drafts += _sound(work, target, asked, batch)
        drafts = _at_home(work, _fresh(work, drafts), place)
        drafts = _accepted(work, model, drafts, advance)
        for target in evidence.targets:
            _join(work, target, [draft for draft in drafts if draft.target is target])
    rows = [_named(evidence, draft) for target in evidence.targets for draft in work.kept.get(target.cluster, [])]
    return Synthesised(
        rows=tuple(rows),
        drops=tuple(work.drops),
        asked=tuple(work.asked),
        narrowed=tuple(work.narrowed),
        cut_short=cut_short,
    )


def _compared(evidence: Evidence) -> tuple[str, ...]:
    """The instruction, or the text; with it the input, where most of the clusters' rows share their instructions."""
    first = evidence.fields[0]
    own = [example.parts[first] for target in evidence.targets for example in target.own]
    shared = "input" in evidence.fields and 2 * len(set(own)) < len(own)
    return (first, "input") if shared else (first,)


def _questions(work: _Work, wave: int) -> list[tuple[Target, Asked, Any]]:
    """What to ask for in a wave: for each cluster the rows that are still missing, eight to a question."""
    evidence = work.evidence
    found: list[tuple[Target, Asked, Any]] = []
    for target in evidence.targets:
        kept = work.kept.get(target.cluster, [])
        missing = 0 if target.cluster in work.narrowed else target.count - len(kept)
        accepted = [Example(_id(evidence, draft), draft.parts, draft.asked.label) for draft in kept]
        for start in range(0, missing, ROWS_PER_QUESTION):
            number = 1000 * evidence.round + len(work.asked) + len(found) + 1
            rows = min(ROWS_PER_QUESTION, missing - start)
            seed = (evidence.seed, wave, target.cluster, start)
            found.append((target, *question(target, accepted, evidence.fields, number, rows, seed)))
    return found


# The filters, in order -----------------------------------------------------------------------------------------------


def _sound(work: _Work, target: Target, asked: Asked, batch: Batch) -> list[_Draft]:
    """The rows of one answer that are rows, not more than were asked for, and that pass the published filters."""
    if batch.problem is not None:
        work.drops.append(Drop(reason=batch.problem, cluster=target.cluster, rows=asked.rows))
        return []
    if (more := len(batch.rows) - asked.rows) > 0:
        work.drops.append(Drop(reason="over_share", cluster=target.cluster, rows=more))
    fields = work.evidence.fields
    held_to = norms(fields, (example.parts for example in target.own))
    sound = []
    for row in batch.rows[: asked.rows]:
        parts = parts_of_answer(row, fields)
        reason: Reason | None = "malformed" if parts is None else verdict(parts, held_to)
        if parts is None or reason is not None:
            work.drops.append(Drop(reason=reason or "malformed", cluster=target.cluster, parts=parts))
        else:
            sound.append(parts)
    return [_Draft(target, asked, parts, text) for parts, text in zip(sound, work.evidence.render(sound), strict=True)]


def _fresh(work: _Work, drafts: list[_Draft]) -> list[_Draft]:
    """The drafts that pass the run's quality rules, contradict no row and repeat none, of the pool or each other.

    What passes here joins the pool, whatever becomes of it: the same need not be looked at twice.
    """
    evidence = work.evidence
    fails = evidence.fails([draft.text for draft in drafts])
    differ = answers_differ([draft.parts for draft in drafts], evidence.pool)
    passed = []
    for draft, failed, other in zip(drafts, fails, differ, strict=True):
        said = work.said(draft.parts)
        if failed:
            work.drop("fails_filter", draft)
        elif other:
            work.drop("same_input_other_output", draft)
        # ROUGE-L sees a–z and 0–9 alone: in another script, only an equal text counts as a copy here.
        elif draft.text in work.texts or work.pool.nearest(said) is not None:
            work.drop("near_copy", draft)
        else:
            passed.append(draft)
            work.pool.add([said])
            work.texts.add(draft.text)
    return passed


def _at_home(work: _Work, drafts: list[_Draft], place: Callable[[list[str]], list[Placed]]) -> list[_Draft]:
    """The drafts that land in the cluster they were asked for, and not on top of a real row."""
    passed = []
    for draft, placed in zip(drafts, place([draft.text for draft in drafts]) if drafts else [], strict=True):
        floor = float(np.percentile(draft.target.cosines, FLOOR))
        if placed.cluster != draft.target.cluster or placed.cosine < floor:
            work.drop("off_topic", draft)
        elif placed.nearest >= work.evidence.cosine:
            work.drop("on_top_of_real", draft)
        else:
            passed.append(_Draft(draft.target, draft.asked, draft.parts, draft.text, placed.cosine))
    return passed


def _accepted(work: _Work, model: Model, drafts: list[_Draft], advance: Advance) -> list[_Draft]:
    """The drafts that the judge accepts; without a usable answer none is."""
    passed = []
    for draft, word in zip(drafts, judge(model, [draft.text for draft in drafts], advance), strict=True):
        if word == "accept":
            passed.append(draft)
        else:
            work.drop("unjudged" if word is None else "judged_bad", draft)
    return passed


def _join(work: _Work, target: Target, drafts: list[_Draft]) -> None:
    """Take drafts into their cluster, unless its rows become more alike: then they stay out and it gets no more."""
    kept = work.kept.setdefault(target.cluster, [])
    if drafts and _diversity(work, target, [*kept, *drafts]).narrows:
        for draft in drafts:
            work.drop("narrowing", draft)
        work.narrowed.append(target.cluster)
    else:
        kept += drafts


def _diversity(work: _Work, target: Target, new: list[_Draft]) -> Diversity:
    real, added = (["\n".join(one.parts.values()) for one in rows] for rows in (target.own, new))
    cosines = np.array([draft.cosine for draft in new])
    return diversity(real, added, target.cosines, cosines, work.evidence.seed)


def _id(evidence: Evidence, draft: _Draft) -> str:
    return "syn-" + sha256_json([evidence.round, draft.parts, draft.asked.label])[:12]


def _named(evidence: Evidence, draft: _Draft) -> New:
    return New(
        id=_id(evidence, draft),
        parts=draft.parts,
        text=draft.text,
        label=draft.asked.label,
        cluster=draft.target.cluster,
        seeds=draft.asked.seeds,
    )
