"""Synthesis: new rows for thin clusters, after Self-Instruct (Wang et al. 2023, arXiv 2212.10560).

What the generator writes goes through the published filters (``tools/judge/self_instruct.py``), the run's quality
rules, ROUGE-L against seeds and pool, the cluster's neighbourhood, a judge and the check of diversity, in that order.

``synthesise`` is a function of its evidence, the model's answers and where the rows were measured to land; the audit
calls it again with the recorded answers and the logged measurements.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...state.canonical import sha256_json
from ...state.phrases import Advance, silent
from ...state.report import Record
from ...state.values import SynthesisFigures
from ...tools.judge.diversity import diversity
from ...tools.judge.self_instruct import Reason, answers_differ, fault, norms
from ...tools.read.shapes import Parts
from ...tools.repeats.rouge import RougePool
from ..llm import Request
from ..llm.client import Model
from .generator import (
    ROWS_PER_QUESTION,
    Asked,
    Example,
    GeneratedRows,
    Target,
    accept_rows,
    parts_of_answer,
    question,
    read,
)
from .placement import Place

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

    def figures(self) -> SynthesisFigures:
        """Seeds → generated → dropped by reason → kept, as logged and shown."""
        dropped: Counter[str] = Counter()
        for drop in self.drops:
            dropped[drop.reason] += drop.rows
        return SynthesisFigures(
            seeds=len({seed for asked in self.asked for seed in asked.seeds}),
            questions=len(self.asked),
            generated=len(self.rows) + sum(dropped.values()),
            dropped=dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
            kept=len(self.rows),
            narrowed=self.narrowed,
            cut_short=self.cut_short,
        )


@dataclass(frozen=True)
class _Attempt:
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
    kept: dict[int, list[_Attempt]] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    narrowed: list[int] = field(default_factory=list)

    def drop(self, reason: Reason, attempt: _Attempt) -> None:
        """Note why an attempt goes no further."""
        self.drops.append(Drop(reason=reason, cluster=attempt.target.cluster, parts=attempt.parts))

    def said(self, parts: Parts) -> str:
        """What ROUGE-L compares of a row."""
        return "\n".join(parts[name] for name in self.compared)


def synthesise(model: Model, evidence: Evidence, place: Place, advance: Advance = silent) -> Synthesised:
    """New rows for the targets; fewer than wanted where what the model writes does not pass.

    ``model`` is generator and judge, asked without tools; ``advance`` is called with questions answered.
    """
    work = _Work(evidence, _compared(evidence), RougePool(evidence.rouge_l), set(evidence.texts))
    work.pool.add(work.said(parts) for parts in evidence.pool)
    cut_short = False
    for wave in range(WAVES):
        questions = [] if cut_short else _questions(work, wave)
        answers = model.ask_many([request for _, _, request in questions], read, advance)
        attempts: list[_Attempt] = []
        for (target, asked, _), answer in zip(questions, answers, strict=True):
            if answer is None:  # nothing was sent: there is no budget left
                cut_short = True
            else:
                work.asked.append(asked)
                attempts += _sound(work, target, asked, answer)
        attempts = _at_home(work, _fresh(work, attempts), place)
        attempts = _accepted(work, model, attempts, advance)
        for target in evidence.targets:
            _join(work, target, [attempt for attempt in attempts if attempt.target is target])
    rows = [_named(evidence, attempt) for target in evidence.targets for attempt in work.kept.get(target.cluster, [])]
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


def _questions(work: _Work, wave: int) -> list[tuple[Target, Asked, Request]]:
    """What to ask for in a wave: for each cluster the rows that are still missing, eight to a question."""
    evidence = work.evidence
    found: list[tuple[Target, Asked, Request]] = []
    for target in evidence.targets:
        kept = work.kept.get(target.cluster, [])
        missing = 0 if target.cluster in work.narrowed else target.count - len(kept)
        accepted = [Example(_id(evidence, attempt), attempt.parts, attempt.asked.label) for attempt in kept]
        for start in range(0, missing, ROWS_PER_QUESTION):
            number = 1000 * evidence.round + len(work.asked) + len(found) + 1
            rows = min(ROWS_PER_QUESTION, missing - start)
            seed = (evidence.seed, wave, target.cluster, start)
            found.append((target, *question(target, accepted, evidence.fields, number, rows, seed)))
    return found


# The filters, in order -----------------------------------------------------------------------------------------------


def _sound(work: _Work, target: Target, asked: Asked, answer: GeneratedRows) -> list[_Attempt]:
    """The rows of one answer that are rows, not more than were asked for, and that pass the published filters."""
    if answer.problem is not None:
        work.drops.append(Drop(reason=answer.problem, cluster=target.cluster, rows=asked.rows))
        return []
    if (more := len(answer.rows) - asked.rows) > 0:
        work.drops.append(Drop(reason="over_share", cluster=target.cluster, rows=more))
    fields = work.evidence.fields
    held_to = norms(fields, (example.parts for example in target.own))
    sound = []
    for row in answer.rows[: asked.rows]:
        parts = parts_of_answer(row, fields)
        reason: Reason | None = "malformed" if parts is None else fault(parts, held_to)
        if parts is None or reason is not None:
            work.drops.append(Drop(reason=reason or "malformed", cluster=target.cluster, parts=parts))
        else:
            sound.append(parts)
    texts = work.evidence.render(sound)
    return [_Attempt(target, asked, parts, text) for parts, text in zip(sound, texts, strict=True)]


def _fresh(work: _Work, attempts: list[_Attempt]) -> list[_Attempt]:
    """The attempts that pass the run's quality rules, contradict no row and repeat none, of the pool or each other.

    What passes here joins the pool, whatever becomes of it: the same need not be looked at twice.
    """
    evidence = work.evidence
    fails = evidence.fails([attempt.text for attempt in attempts])
    differ = answers_differ([attempt.parts for attempt in attempts], evidence.pool)
    passed = []
    for attempt, failed, other in zip(attempts, fails, differ, strict=True):
        said = work.said(attempt.parts)
        if failed:
            work.drop("fails_filter", attempt)
        elif other:
            work.drop("same_input_other_output", attempt)
        # ROUGE-L sees a–z and 0–9 alone: in another script, only an equal text counts as a copy here.
        elif attempt.text in work.texts or work.pool.repeats(said):
            work.drop("near_copy", attempt)
        else:
            passed.append(attempt)
            work.pool.add([said])
            work.texts.add(attempt.text)
    return passed


def _at_home(work: _Work, attempts: list[_Attempt], place: Place) -> list[_Attempt]:
    """The attempts that land in the cluster they were asked for, and not on top of a real row."""
    passed = []
    placements = place([attempt.text for attempt in attempts]) if attempts else []
    for attempt, placed in zip(attempts, placements, strict=True):
        floor = float(np.percentile(attempt.target.cosines, FLOOR))
        if placed.cluster != attempt.target.cluster or placed.cosine < floor:
            work.drop("off_topic", attempt)
        elif placed.nearest >= work.evidence.cosine:
            work.drop("on_top_of_real", attempt)
        else:
            passed.append(replace(attempt, cosine=placed.cosine))
    return passed


def _accepted(work: _Work, model: Model, attempts: list[_Attempt], advance: Advance) -> list[_Attempt]:
    """The attempts that the judge accepts; without a usable answer none is."""
    words = accept_rows(model, [attempt.text for attempt in attempts], advance)
    for attempt, word in zip(attempts, words, strict=True):
        if word != "accept":
            work.drop("unjudged" if word is None else "judged_bad", attempt)
    return [attempt for attempt, word in zip(attempts, words, strict=True) if word == "accept"]


def _join(work: _Work, target: Target, attempts: list[_Attempt]) -> None:
    """Take attempts into their cluster, unless its rows become more alike: then they stay out and it gets no more."""
    kept = work.kept.setdefault(target.cluster, [])
    new = [*kept, *attempts]
    real, added = (["\n".join(one.parts.values()) for one in rows] for rows in (target.own, new))
    cosines = np.array([attempt.cosine for attempt in new])
    if attempts and diversity(real, added, target.cosines, cosines, work.evidence.seed).narrows:
        for attempt in attempts:
            work.drop("narrowing", attempt)
        work.narrowed.append(target.cluster)
    else:
        kept += attempts


def _id(evidence: Evidence, attempt: _Attempt) -> str:
    return "syn-" + sha256_json([evidence.round, attempt.parts, attempt.asked.label])[:12]


def _named(evidence: Evidence, attempt: _Attempt) -> New:
    return New(
        id=_id(evidence, attempt),
        parts=attempt.parts,
        text=attempt.text,
        label=attempt.asked.label,
        cluster=attempt.target.cluster,
        seeds=attempt.asked.seeds,
    )
