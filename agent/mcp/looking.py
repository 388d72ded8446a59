"""The tools that look: a run, its clusters, rows, rounds and audit, read as the page reads them, and bounded.

No text that a language model wrote after reading rows is told: those words are for people.
"""

from __future__ import annotations

from ...state.canonical import Json
from ...state.decision import Candidate, Proposal
from ..browse import clusters as of_clusters
from ..browse import row as of_row
from ..browse import story
from ..browse.rows import Query, Rows
from ..decide.approval import proposal
from ..steps.cycle import following
from ..view import View
from . import asked
from .marking import unmarked
from .runs import Runs

_ALTERNATIVES = 20  # that are listed
_FAILURES = 50
_WORTH = ("now", "first", "headline")
_THEIRS = ("theme", "said")  # what a model wrote after reading rows


def run_status(runs: Runs, params: asked.Status) -> Json:
    """Where a run stands and what waits; without a name, which runs there are."""
    if not params.run:
        return {"runs": runs.names(), "begins_runs": runs.data is not None}
    runs.root(params.run)
    runs.settled(params.run, params.wait)
    told = standing(runs, params.run)
    if not told["failed"] and (runs.root(params.run) / "events.jsonl").is_file():
        with runs.reading(params.run) as reader:
            status = story.status(reader.view())
        told |= {name: value for name, value in status.items() if name not in (*_WORTH, "run")}
    return told


def standing(runs: Runs, run: str) -> Json:
    """Whether a run is at work, what waits for a person, and what comes next."""
    desk = runs.desk(run)
    state: Json = {"busy": False, "failed": None, "now": None} if desk is None else desk.state()
    told: Json = {"run": run, "at_work": state["busy"], "step": state["now"], "failed": state["failed"]}
    if state["failed"]:
        return {**told, "next": "it has failed; once that is mended, resume goes on with it"}
    if state["busy"]:
        return {**told, "next": "it is at work: run_status with `wait` tells when it has come to rest"}
    with runs.reading(run) as reader:
        return {**told, **_resting(reader.view())}


def _resting(view: View) -> Json:
    """What waits in a run that is not at work here, and what comes next."""
    if (shown := waiting(view)) is not None:
        waits = _proposal(shown, view.config.llm.model is not None)
        return {"waits": waits, "next": "propose puts this, or another action in its place, before a person"}
    if view.state.last == "publish":
        return {"next": f"it has ended: the curated rows lie in {view.run.curated}"}
    if not view.config.approve:
        return {"next": f"it runs unattended: `recryst resume {view.run.root}` in a terminal goes on with it"}
    return {"next": "resume goes on with it"}


def waiting(view: View) -> Proposal | None:
    """The proposal that waits for a person where the log ends; None where none does."""
    if not view.config.approve or (step := following(view)) is None or step.name != "approve":
        return None
    return proposal(view)


def _proposal(shown: Proposal, by_model: bool) -> Json:
    """A proposal in figures; the reasons are left out where a language model may have written them."""
    return {
        "round": shown.round,
        "by": shown.by,
        "reasons": [] if by_model else list(shown.reasons),
        "candidate": _candidate(shown.candidate),
        "alternatives": [_candidate(one) for one in shown.alternatives[:_ALTERNATIVES]],
        "rolled_back": None if shown.rolled_back is None else {"words": shown.rolled_back.action.in_words()},
    }


def _candidate(one: Candidate) -> Json:
    told = {"id": one.id, "words": one.action.in_words(), "rows_at_most": one.rows, "evidence": one.evidence}
    if one.appraisal is None:
        return told
    return told | {"measured": one.appraisal.model_dump(include={"outcome", "gain", "needed", "price"})}


def clusters(runs: Runs, params: asked.Clusters) -> Json:
    """The clusters, the largest first."""
    with runs.reading(params.run) as reader:
        found = of_clusters.clusters(reader.view())
    ranked = sorted(found["clusters"], key=lambda one: -int(one["size"]))
    listed = [_cluster(one) for one in ranked[params.offset : params.offset + params.limit]]
    return {**found, "total": len(ranked), "offset": params.offset, "clusters": listed}


def _cluster(one: Json) -> Json:
    """A cluster without what a model made of its rows; its name is the terms that set it apart."""
    critique = {name: value for name, value in one["critique"].items() if name not in _THEIRS}
    return {**{name: value for name, value in one.items() if name != "name"}, "critique": critique}


def cluster(runs: Runs, params: asked.OfCluster) -> Json:
    """One cluster, with the rows that stand for it."""
    with runs.reading(params.run) as reader:
        return _cluster(of_clusters.cluster(reader.view(), params.cluster))


def rows(runs: Runs, params: asked.SomeRows) -> Json:
    """Some of the rows that a search and filters find."""
    wanted = params.model_dump(exclude={"run"})
    wanted["search"] = unmarked(params.search)
    wanted["filters"] = {facet: [unmarked(one) for one in values] for facet, values in params.filters.items()}
    with runs.reading(params.run) as reader:
        return Rows(reader).page(Query.read(wanted))


def explain_row(runs: Runs, params: asked.OfRow) -> Json:
    """One row: where it stands, its way through the run, its twin and its neighbours."""
    with runs.reading(params.run) as reader:
        return of_row.row(reader.view(), params.row)


def metrics(runs: Runs, params: asked.OfRun) -> Json:
    """What the data are worth now and at the start, and what the sealed rows say in the end."""
    with runs.reading(params.run) as reader:
        status = story.status(reader.view())
    return {"round": status["round"], **{name: status.get(name) for name in _WORTH}}


def history(runs: Runs, params: asked.Rounds) -> Json:
    """The last rounds, with what was decided in each, by whom, and what came of it."""
    with runs.reading(params.run) as reader:
        view = reader.view()
        told = story.timeline(view)
    by_model = view.config.llm.model is not None
    for decision in told["decisions"]:
        decision["candidates"] = [
            {"id": one["id"], "words": one["words"], "rows_at_most": one["rows"]}
            | ({} if by_model else {"why_not": one["why_not"]})
            for one in decision["candidates"]
        ]
    listed = {name: told[name][-params.limit :] for name in ("rounds", "decisions")}
    if by_model:
        for entry in (*listed["rounds"], *listed["decisions"]):
            entry["reasons"] = []
    return {**listed, "rounds_in_all": len(told["rounds"]), "last": told["last"]}


def audit(runs: Runs, params: asked.OfRun) -> Json:
    """The chain and every file verified, and every decision derived again."""
    from ..audit import audit as audit_run

    report = audit_run(runs.root(params.run))
    return {
        "passes": not report.failures,
        "finished": report.finished,
        "verified": {what.replace(" ", "_"): count for what, count in report.verified.items()},
        "failures": report.failures[:_FAILURES],
        "failures_in_all": len(report.failures),
        "builds": report.builds,
        "taken_as_logged": len(report.taken),
        "log_head": report.head,
    }
