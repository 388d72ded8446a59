"""The evidence of a round: embed, cluster, reduce, score, critique.

From the second round on, whatever the last measurement already computed for the data in force is reused: a round costs
what changed.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ...state import events
from ...state.errors import IntegrityError
from ...state.params.vectors import ClusterParams
from ...state.phrases import Advance, counted, silent
from ...state.values import Values
from ...tools.judge import objective
from ...tools.vectors import axes, evidence
from ...tools.vectors.cluster import default_k
from ...tools.vectors.embed import left_out
from ...tools.vectors.encoders.windows import Reading
from ...tools.vectors.score import ClusterScores
from ..decide.critique.critic import critique
from ..decide.facts import critique_key, doubtful, row_quality, state_key, strictness
from ..llm.budget import BUDGET
from ..llm.prices import estimate, exceeds, said
from ..session import Session
from ..view import View
from .base import Draft, Plain, Step
from .measured import (
    Clustered,
    Embedded,
    KeptRows,
    cluster_rows,
    clustering_in_force,
    embed_missing,
    logged_clustered,
    logged_embedded,
    missing_rows,
    passages,
    pool_contents,
    resolved,
    row_vectors,
    score_rows,
    scores_from_json,
    scores_json,
)
from .rows.removals import alike

_CHARACTERS_PER_TOKEN = 4  # of English, about


@dataclass(frozen=True)
class _Vectors:
    """New vectors of the pool; in the first round those of the anchor (float32 [m, d]), and what a model may cost.

    ``sampled``: in the first round, where shorter vectors are asked for: what a sample of the pool says of them.
    """

    pool: Embedded | None
    anchor: np.ndarray | None
    embedded: int
    cached: int
    runtime: str | None = None
    windows: events.Windows | None = None
    estimate: events.Estimate | None = None
    lines: tuple[tuple[str, str], ...] = ()
    sampled: axes.Sampled | None = None

    @property
    def figures(self) -> dict[str, object]:
        return {"runtime": self.runtime, "windows": self.windows, "estimate": self.estimate}


class Embed(Step[_Vectors]):
    """Begin a round: vectors and neighbours for the kept rows that have none, and once for the anchor."""

    name = "embed"
    takes = (
        "the vectors, which rows are neighbours, how many were cached, what computed them, what share of neighbours "
        "shorter ones find, and a model's cost at most"
    )

    def total(self, view: View) -> int | None:
        return None if view.has("anchor_vectors") else len(view.kept()) + len(view.anchor())

    def measure(self, session: Session, view: View, advance: Advance) -> _Vectors:
        session.reading = Reading()
        if view.has("anchor_vectors"):
            pool = embed_missing(session, view, view.kept(), advance)
            embedded, cached = (pool.embedded, pool.cached) if pool else (0, 0)
            return _Vectors(pool, None, embedded, cached, session.embedded_by, _windows(session.reading))
        rows, params = view.kept(), view.config.embed
        if isinstance(params.dimensions, int) and not view.has("given_vectors"):
            axes.sizes(len(rows), session.encoder.dimensions, params)  # refuses before an hour of embedding
        (vectors, (embedded, cached)), (anchor, more) = (
            row_vectors(session, view, part, advance) for part in (rows, view.anchor())
        )
        sampled = None
        if view.config.embed.dimensions is not None:
            sampled = axes.sampled(vectors, view.config.embed, view.seed(13))
            chosen = axes.axes_chosen(sampled, view.config.embed)
            vectors, anchor = (axes.along(part, chosen) for part in (vectors, anchor))
        pool = embed_missing(session, view, rows, advance, vectors)
        expected, lines = _expected_cost(view)
        if how := session.reading.said(view.config.embed.max_tokens):
            lines = ((how, ""), *lines)
        runtime, windows = session.embedded_by, _windows(session.reading)
        if runtime is not None:
            lines = ((f"embedded by {runtime}", ""), *lines)
        counts = (embedded + more[0], cached + more[1])
        return _Vectors(pool, anchor, *counts, runtime, windows, expected, lines, sampled)

    def logged(self, view: View, event: events.Embed) -> _Vectors:
        ref = event.state.artefacts.get("anchor_vectors")
        anchor = None if ref is None or view.has("anchor_vectors") else np.asarray(view.store.array(ref))
        pool, figures = logged_embedded(view, event, view.kept()), (event.runtime, event.windows, event.estimate)
        sampled = None
        if event.shortened is not None:
            ref = event.evidence.get("second_moments")
            moments = None if ref is None else view.store.array(ref)
            sampled = axes.Sampled(len(view.kept()), event.shortened.width, moments, event.shortened.recall)
        return _Vectors(pool, anchor, event.embedded, event.cached, *figures, sampled=sampled)

    def derive(self, view: View, measured: _Vectors, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log has no vectors of the held-out rows, counts more than had none, or has vectors of
                another length than was chosen.
        """
        rows = view.kept()
        lacking = len(missing_rows(view, rows)) + (0 if measured.anchor is None else len(measured.anchor))
        # Fewer is possible: rows of one text are embedded once.
        if measured.embedded + measured.cached > (0 if view.has("given_vectors") else lacking):
            raise IntegrityError(f"{measured.embedded} embedded and {measured.cached} cached, of {lacking} rows")
        artefacts, shared = pool_contents(view, rows, measured.pool), list[str]()
        shorter = _shorter(view, measured)
        if measured.anchor is not None:
            artefacts["anchor_vectors"] = measured.anchor
            artefacts["anchor_radii"] = objective.anchor_radii(measured.anchor)
            shared = passages(view)
        elif not view.has("anchor_vectors"):
            raise IntegrityError("the held-out rows have no vectors")
        counts = {"rows": len(rows), "embedded": measured.embedded, "cached": measured.cached}
        return Draft(
            artefacts={**artefacts, **shorter.artefacts},
            inputs=("text", "ledger"),
            fields={**counts, "passages": len(shared), **measured.figures, **shorter.fields},
            round=view.state.round + 1,
            evidence=shorter.evidence,
            lines=(*([(what, "")] if (what := left_out(shared)) else []), *measured.lines, *shorter.lines),
        )


def _shorter(view: View, measured: _Vectors) -> Draft:
    """The part of the first round's draft that tells of shorter vectors; empty where none are asked for."""
    sampled, params = measured.sampled, view.config.embed
    wanted = params.dimensions is not None and measured.anchor is not None
    if wanted != (sampled is not None):
        raise IntegrityError("shorter vectors were measured where none are asked for, or not where they are")
    if sampled is None:
        return Draft()
    chosen, (fitted, asked) = axes.axes_chosen(sampled, params), axes.parts(sampled.rows)
    size = None if chosen is None else chosen.shape[1]
    pool = None if measured.pool is None else measured.pool.vectors
    if any(part is None or part.shape[1] != (size or sampled.width) for part in (pool, measured.anchor)):
        raise IntegrityError(f"there are vectors of another length than {size or sampled.width}")
    told = events.Shortened(width=sampled.width, size=size, fitted=fitted, asked=asked, recall=sampled.recall)
    return Draft(
        artefacts={} if chosen is None else {"axes": chosen},
        evidence={} if chosen is None else {"second_moments": sampled.moments},
        fields={"shortened": told},
        lines=((axes.in_words(sampled, size, params), "yellow" if size is None else ""),),
    )


def _windows(reading: Reading) -> events.Windows | None:
    """How texts were read that are longer than a window; None where none was."""
    if not reading.long:
        return None
    return events.Windows(texts=reading.texts, long=reading.long, windows=reading.windows, times=reading.times)


def _expected_cost(view: View) -> tuple[events.Estimate | None, tuple[tuple[str, str], ...]]:
    """What the language model may cost at most, before it is asked anything, and the same in words."""
    model, rows, config = view.model, view.kept(), view.config
    if model is None:
        return None, ()
    k = config.cluster.k or default_k(len(rows))
    mean_tokens = int(view.text(rows).str.len_chars().sum()) / max(1, len(rows)) / _CHARACTERS_PER_TOKEN
    if config.approve:  # a person says how many rounds there are
        config = config.model_copy(update={"stop": config.stop.model_copy(update={"max_rounds": 1})})
    expected = estimate(config, len(rows), k, mean_tokens, model.purse.price)
    lines = [(f"{model.name}: {'each round ' if config.approve else ''}{said(expected)}", "")]
    if exceeds(expected, config.llm):
        more = "that is more than --max-usd or --max-tokens: the budget may end before the rounds do"
        lines.append((more, "yellow"))
    tokens = expected.input_tokens + expected.output_tokens
    return events.Estimate(calls=expected.calls, tokens=tokens, usd=expected.usd), tuple(lines)


class Cluster(Step[Clustered | None]):
    """Group the kept rows, starting from the centroids in force where there are any; None: they are grouped already."""

    name = "cluster"
    takes = "the clustering: the cluster of each row, the centroids, the space, and what was chosen by itself"

    def measure(self, session: Session, view: View, advance: Advance) -> Clustered | None:
        kept = KeptRows.of(view)
        if _grouped(view, kept.rows):
            return None
        start = view.array("centroids") if view.has("centroids") else None
        return cluster_rows(view, kept, _wanted(view), start)

    def logged(self, view: View, event: events.Cluster) -> Clustered | None:
        if _grouped(view, view.kept()) or event.state.values.clustering is None:
            return None
        return logged_clustered(view, event.state.artefacts, event.state.values.clustering)

    def derive(self, view: View, measured: Clustered | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log says that the rows are grouped already, and they are not.
        """
        if measured is None:
            if not _grouped(view, view.kept()):
                raise IntegrityError("these rows are not grouped yet")
            return Draft(inputs=("ledger", "assignments"), fields={"reused": True})
        kept = KeptRows.of(view)
        params, labels = resolved(_wanted(view), measured.result), measured.result.labels
        return Draft(
            artefacts={**measured.contents(kept), "scores": None},
            values=Values(clustering=params, state_key=state_key(kept.rows, params)),
            inputs=("ledger", "vectors"),
            fields={"k": len(measured.result.centroids), "noise": int((labels < 0).sum()), "rows": len(kept.rows)},
        )


def _wanted(view: View) -> ClusterParams:
    """How the rows are to be clustered."""
    return view.values.clustering or view.config.cluster


def _grouped(view: View, rows: np.ndarray) -> bool:
    """Whether these rows (positions, uint32 [n]) are clustered as they are to be."""
    return view.values.state_key == state_key(rows, _wanted(view))


class Score(Step[ClusterScores]):
    """Score the clustering in force and gather the evidence on each cluster."""

    name = "score"
    unit = "bootstraps"
    takes = "the scores of the clustering: silhouettes, Davies–Bouldin, Calinski–Harabasz, DBCV, stability, overlaps"

    def total(self, view: View) -> int | None:
        return view.config.score.bootstraps

    def measure(self, session: Session, view: View, advance: Advance) -> ClusterScores:
        return scores_in_force(view, advance)

    def logged(self, view: View, event: events.StepEvent) -> ClusterScores:
        ref = view.state.artefacts.get("scores") or event.state.artefacts["scores"] or ""
        return scores_from_json(view.store.json(ref))

    def derive(self, view: View, measured: ClusterScores, advance: Advance = silent) -> Draft:
        kept, config = KeptRows.of(view), view.config
        suspects = doubtful(view, kept.rows, view.quality_below)
        repeats = alike(view, config.semantic, kept.rows, kept.graph)
        known = evidence.Evidence(
            kept.rows,
            kept.vectors,
            kept.graph,
            view.text(kept.rows),
            strictness(view, kept.rows),
            kept.sparse,
            row_quality(view, kept.rows),
        )
        result, cosine = clustering_in_force(view).result, config.semantic.cosine
        report = evidence.cluster_report(
            view.state.round, known, result, measured, config.critique, cosine, config.seed
        )
        return Draft(
            artefacts={"scores": scores_json(measured), "report": Plain(report.model_dump(mode="json"))},
            values=Values(doubtful=len(suspects.rows), alike=len(repeats.rows)),
            inputs=("assignments", "vectors", "ledger", "maps"),
        )


def scores_in_force(view: View, advance: Advance) -> ClusterScores:
    """The scores of the clustering in force: those the last measurement left, or computed here."""
    if view.has("scores"):
        return scores_from_json(view.json("scores"))
    return score_rows(view, KeptRows.of(view), clustering_in_force(view), view.clustering, advance)


class Critique(Step[None]):
    """Judge the clusters; where they stand as they stood, the verdicts in force are used again."""

    name = "critique"
    unit = "questions"

    def total(self, view: View) -> int | None:
        # A model is asked about every cluster, about some of them twice, and about pairs of rows.
        return None if view.config.backend("critic") == "rules" else len(view.report().clusters)

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        by, report = view.config.backend("critic"), view.report()
        key = critique_key(report)
        if view.values.critiqued == key:
            return Draft(inputs=("report", "critiques"), fields={"reused": True})
        model = None if by == "rules" else view.model
        critiques, granularity = critique(report, view.config, model, view.text, advance)
        lines = list[tuple[str, str]]()
        by_rules = sum(critique.by == "rules" for critique in critiques)
        review = tuple(critique.cluster for critique in critiques if critique.review)
        if by == "llm" and by_rules:
            refused = 0 if model is None else model.not_asked("critique")
            not_asked = f" ({counted(refused, 'question')} not asked: {BUDGET})" if refused else ""
            what = f"no usable verdict of the model on {by_rules} of {counted(len(critiques), 'cluster')}{not_asked}"
            lines.append((f"critique: {what}; there the rules judge", "yellow"))
        if review:
            marked = f"{counted(len(review), 'cluster')} {'is' if len(review) == 1 else 'are'}"
            lines.append((f"critique: {marked} marked for a person's review", "yellow"))
        verdicts = dict(sorted(Counter(critique.verdict for critique in critiques).items()))
        return Draft(
            artefacts={"critiques": Plain([critique.model_dump(mode="json") for critique in critiques])},
            values=Values(critiqued=key, granularity=granularity),
            inputs=("report", "text"),
            actor="rules" if by == "rules" else "agent",
            fields={"verdicts": verdicts, "by_rules": by_rules, "review": review},
            lines=tuple(lines),
        )
