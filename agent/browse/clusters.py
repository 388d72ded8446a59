"""The clusters of a run as the page lists them, each with its critique and the rows that stand for it."""

from __future__ import annotations

import numpy as np
import polars as pl

from ...state.canonical import Json
from ...state.decision import Critique
from ...state.errors import UsageError
from ...state.report import ClusterEvidence
from ..decide.review import in_doubt
from ..decide.review import words as why_in_doubt
from ..view import View

_NAMED = 3  # terms that make a name
_TEXT = 600  # characters of a text
_DOUBTFUL = 8  # rows in doubt that are shown


def clusters(view: View) -> Json:
    """The figures of the clustering and of every cluster, with name, issues and verdict; empty before there are any."""
    if not view.has("report", "assignments"):
        return {"clusters": []}
    report = view.report()
    critiques = view.critiques() if view.has("critiques") else ()
    judged = {critique.cluster: critique for critique in critiques}
    return {
        **report.model_dump(mode="json", exclude={"clusters"}),
        "clusters": [_listed(cluster, judged.get(cluster.cluster)) for cluster in report.clusters],
    }


def name_of(cluster: ClusterEvidence, critique: Critique | None) -> str:
    """What a cluster is called: the model's words, or the terms that set it apart (class-based TF-IDF)."""
    if cluster.cluster == -1:
        return "noise"
    theme = "" if critique is None else critique.theme
    return theme or " · ".join(cluster.terms[:_NAMED]) or f"cluster {cluster.cluster}"


def _listed(cluster: ClusterEvidence, critique: Critique | None) -> Json:
    figures = cluster.model_dump(mode="json", exclude={"boundary", "random", "medoid"})
    judged = {} if critique is None else critique.model_dump(mode="json")
    return {**figures, "name": name_of(cluster, critique), "critique": judged}


def cluster(view: View, number: int) -> Json:
    """One cluster with the rows that stand for it: typical, at its boundary, drawn by lot, and in doubt.

    Raises:
        UsageError: there is no cluster of that number.
    """
    if not view.has("report", "critiques"):
        raise UsageError("the rows are not clustered yet")
    found = next((one for one in view.report().clusters if one.cluster == number), None)
    if found is None:
        raise UsageError(f"there is no cluster {number}")
    critique = next((one for one in view.critiques() if one.cluster == number), None)
    roles = {found.medoid: "typical"}
    for at, role in [*((at, "boundary") for at in found.boundary), *((at, "by lot") for at in found.random)]:
        roles.setdefault(at, role)
    doubts = in_doubt(view).filter(pl.col("cluster") == number).head(_DOUBTFUL)
    doubted = {line["row"]: why_in_doubt(line["why"], line["because"]) for line in doubts.iter_rows(named=True)}
    for at in doubted:
        roles.setdefault(at, "in doubt")
    rows = np.asarray(list(roles), dtype=np.uint32)
    ids, labels, texts = view.ledger()["id"].gather(rows), view.labels().gather(rows), view.text(rows)
    shown = [
        {"row": at, "role": roles[at], "id": id, "label": label, "text": text[:_TEXT], "doubt": doubted.get(at, "")}
        for at, id, label, text in zip(roles, ids, labels, texts, strict=True)
    ]
    return {**_listed(found, critique), "rows": shown}
