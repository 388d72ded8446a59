"""The evidence of a round: embed, cluster, reduce, score, critique.

From the second round on, whatever the last measurement already computed for the data in force is reused: a
round costs what changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ...state.config import ClusterParams
from ...state.phrases import counted
from ...state.progress import Advance
from ...state.report import ClusterReport
from ...tools.judge import objective
from ...tools.vectors import evidence
from ...tools.vectors import reduce as reduce_tool
from ...tools.vectors.cluster import ClusterResult, default_k
from ...tools.vectors.score import ClusterScores
from ..decide.critic import judge
from ..decide.facts import critique_key, doubtful, row_quality, state_key, strictness
from ..llm.budget import BUDGET
from ..llm.client import Model
from ..llm.prices import estimate, exceeds, said
from ..session import Session, derived_seed
from .measured import (
    View,
    anchor_vectors,
    cluster_view,
    extend_pool,
    labels_frame,
    resolved,
    score_view,
    scores_from_json,
    scores_json,
    view,
)
from .removals import alike

UNCHANGED = {"reused": True}
_CHARACTERS_PER_TOKEN = 4  # of English, about
_REPORTED = (
    "algorithm",
    "k",
    "rows",
    "noise",
    "silhouette",
    "davies_bouldin",
    "calinski_harabasz",
    "dbcv",
    "stability",
    "overlap_2d",
    "overlap_3d",
)


def embed(session: Session) -> None:
    """Begin a round: vectors and neighbours for the kept rows that have none, and once for the anchor."""
    rows = session.kept()
    first = "anchor_vectors" not in session.state.artefacts
    with session.step("embed", len(rows) + len(session.anchor()) if first else None) as advance:
        artefacts, embedded = extend_pool(session, rows, advance)
        if first:
            anchor, more = anchor_vectors(session, advance)
            embedded = {name: embedded[name] + more[name] for name in embedded}
            artefacts["anchor_vectors"] = session.store.put_array(anchor)
            artefacts["anchor_radii"] = session.store.put_array(objective.anchor_radii(anchor))
    metrics: dict[str, Any] = {**embedded, "rows": len(rows)}
    if first and session.model is not None:
        metrics["estimate"] = _announce_cost(session, session.model, rows)
    session.record(
        "embed",
        round=session.state.round + 1,
        artefacts=artefacts,
        inputs=["text", "ledger"],
        params=session.config.embed.model_dump(mode="json"),
        metrics=metrics,
    )


def _announce_cost(session: Session, model: Model, rows: np.ndarray) -> dict[str, Any]:
    """Say what the language model may cost at most, before it is asked anything; the same for the log."""
    k = session.config.cluster.k or default_k(len(rows))
    mean_tokens = int(session.text(rows).str.len_chars().sum()) / max(1, len(rows)) / _CHARACTERS_PER_TOKEN
    config = session.config
    if config.approve:  # a person says how many rounds there are
        config = config.model_copy(update={"stop": config.stop.model_copy(update={"max_rounds": 1})})
    expected = estimate(config, len(rows), k, mean_tokens, model.purse.price)
    session.reporter.say(f"{model.name}: {'each round ' if config.approve else ''}{said(expected)}")
    if exceeds(expected, config.llm):
        session.reporter.say(
            "that is more than --max-usd or --max-tokens: the budget may end before the rounds do", "yellow"
        )
    return {"calls": expected.calls, "tokens": expected.input_tokens + expected.output_tokens, "usd": expected.usd}


def cluster(session: Session) -> None:
    """Group the kept rows, starting from the centroids in force where there are any."""
    seen = view(session)
    params = ClusterParams(**session.state.values.get("clustering", session.config.cluster.model_dump()))
    key = state_key(seen.rows, params.model_dump(mode="json"))
    if session.state.values.get("state_key") == key:
        session.record("cluster", inputs=["ledger", "labels"], metrics=UNCHANGED)
        return
    with session.step("cluster"):
        start = session.array("centroids") if "centroids" in session.state.artefacts else None
        result, space = cluster_view(session, seen, params, derived_seed(session.config, 3), start)
        params = resolved(params, result)
        artefacts: dict[str, str | None] = {
            "labels": session.store.put_frame(labels_frame(seen, result)),
            "centroids": session.store.put_array(result.centroids),
            "space": None if space is None else session.store.put_array(space),
            "scores": None,
        }
    clustering = params.model_dump(mode="json")
    session.record(
        "cluster",
        artefacts=artefacts,
        values={"clustering": clustering, "state_key": state_key(seen.rows, clustering)},
        inputs=["ledger", "vectors"],
        params=clustering,
        metrics={"k": len(result.centroids), "noise": int((result.labels < 0).sum()), "rows": len(seen.rows)},
    )


def reduce(session: Session) -> None:
    """Draw the 2-D and 3-D maps of every embedded row once; rows embedded later are placed on them."""
    vectors = session.state.artefacts["vectors"]
    if session.state.values.get("maps_of") == vectors:
        session.record("reduce", inputs=["vectors"], metrics=UNCHANGED)
        return
    params = session.config.reduce
    pool = session.array("pool")
    with session.step("reduce", 2 * len(params.methods), "maps") as advance:
        metrics: dict[str, Any] = {}
        if "maps" in session.state.artefacts:
            old = session.frame("maps")
            known = np.isin(pool, old["row"].to_numpy())
            vectors_now = np.asarray(session.array("vectors"))
            coordinates = reduce_tool.place(old.drop("row").to_numpy(), vectors_now[known], vectors_now[~known])
            added = pl.DataFrame(coordinates, schema=old.drop("row").schema).insert_column(
                0, pl.Series("row", pool[~known])
            )
            frame = pl.concat([old, added]).sort("row")
            metrics["placed"] = int((~known).sum())
        else:
            maps = reduce_tool.reduce(np.asarray(session.array("vectors")), params, session.config.seed, advance)
            columns = {"row": pool}
            for name, coordinates in maps.coordinates.items():
                for axis, values in zip("xyz", coordinates.T, strict=False):
                    columns[f"{name}_{axis}"] = values
            frame = pl.DataFrame(columns)
            metrics |= {"trustworthiness": maps.trustworthiness, "landmarks": maps.landmarks}
        reference = session.store.put_frame(frame)
    session.record(
        "reduce",
        artefacts={"maps": reference},
        values={"maps_of": vectors},
        inputs=["vectors"],
        params=params.model_dump(mode="json"),
        metrics=metrics,
    )


def score(session: Session) -> None:
    """Score the clustering in force and gather the evidence on each cluster."""
    seen = view(session)
    result = clustering_in_force(session)
    with session.step("score", session.config.score.bootstraps, "bootstraps") as advance:
        scores = scores_in_force(session, seen, result, advance)
        values, annotations = session.state.values, session.frame("annotations")
        quality = session.frame("quality") if "quality" in session.state.artefacts else None
        below = (values.get("quality") or {}).get("below")
        suspects = doubtful(values, annotations, quality, seen.rows, below)
        repeats = alike(session.store, session.state, session.config.semantic, seen.rows, seen.graph)
        report = evidence.cluster_report(
            session.state.round,
            seen.vectors,
            result,
            scores,
            seen.graph,
            seen.rows,
            session.text(seen.rows),
            strictness(values, annotations, seen.rows),
            seen.sparse,
            session.config.critique,
            session.config.semantic.cosine,
            session.config.seed,
            None if quality is None else row_quality(quality, seen.rows),
        )
        artefacts = {
            "scores": session.store.put_json(scores_json(scores)),
            "report": session.store.put_json(report.model_dump(mode="json")),
        }
    session.record(
        "score",
        artefacts=artefacts,
        values={"doubtful": len(suspects.rows), "alike": len(repeats.rows)},
        inputs=["labels", "vectors", "ledger", "maps"],
        metrics={name: getattr(report, name) for name in _REPORTED},
    )


def clustering_in_force(session: Session) -> ClusterResult:
    """The clustering of the data in force."""
    labels = session.frame("labels")["cluster"].to_numpy()
    clustering = session.state.values["clustering"]
    return ClusterResult(labels, np.asarray(session.array("centroids")), clustering["algorithm"], clustering)


def scores_in_force(session: Session, seen: View, result: ClusterResult, advance: Advance) -> ClusterScores:
    """The scores of the clustering in force: those the last measurement left, or computed here."""
    if "scores" in session.state.artefacts:
        return scores_from_json(session.store.json(session.state.artefacts["scores"]))
    space = session.array("space") if "space" in session.state.artefacts else None
    return score_view(session, seen, result, ClusterParams(**session.state.values["clustering"]), space, advance)


def critique(session: Session) -> None:
    """A typed verdict on each cluster."""
    mind = session.config.mind("critic")
    report = ClusterReport.model_validate(session.store.json(session.state.artefacts["report"]))
    key = critique_key(report)
    if session.state.values.get("critiqued") == key:
        session.record("critique", inputs=["report", "critiques"], metrics=UNCHANGED)
        return
    # A model is asked about every cluster, about some of them twice, and about pairs of rows.
    questions = None if mind == "rules" else len(report.clusters)
    with session.step("critique", questions, "questions") as advance:
        judged = judge(report, session.config, session.model, session.text, advance)
        reference = session.store.put_json([verdict.model_dump(mode="json") for verdict in judged.critiques])
    tally: dict[str, int] = {}
    for verdict in judged.critiques:
        tally[verdict.verdict] = tally.get(verdict.verdict, 0) + 1
    by_rules = sum(verdict.by == "rules" for verdict in judged.critiques)
    review = [verdict.cluster for verdict in judged.critiques if verdict.review]
    refused = 0 if session.model is None else session.model.not_asked("critique")
    not_asked = f" ({counted(refused, 'question')} not asked: {BUDGET})" if refused else ""
    if mind == "llm" and by_rules:
        session.reporter.say(
            f"critique: no usable verdict of the model on {by_rules} of "
            f"{counted(len(judged.critiques), 'cluster')}{not_asked}; "
            "there the rules judge",
            "yellow",
        )
    if review:
        marked = f"{counted(len(review), 'cluster')} {'is' if len(review) == 1 else 'are'}"
        session.reporter.say(f"critique: {marked} marked for a person's review", "yellow")
    granularity = judged.granularity
    session.record(
        "critique",
        artefacts={"critiques": reference},
        values={"critiqued": key, "granularity": None if granularity is None else granularity.model_dump(mode="json")},
        inputs=["report", "text"],
        actor="rules" if mind == "rules" else "agent",
        metrics={**tally, "by_rules": by_rules, "review": review},
    )
