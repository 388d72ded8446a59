"""What a run came to, read from its log and store: the object ``--json`` prints and the tables a person sees."""

import resource
import sys
from pathlib import Path

import polars as pl

from ...state.actions import OVERRIDES, Stop
from ...state.decision import Rejected, Verdict
from ...state.events import Ablate, Act, Decide, Embed, HoldOut, Measure, Override, Publish, Select, StepEvent, Train
from ...state.rows import counts, removed_by_reason
from ...tools.read.columns import free_name
from ...tools.write.choices import choices_of_run
from ...tools.write.shown import (
    Conflicts,
    ConflictShown,
    FunnelStep,
    LabelChange,
    Relabelled,
    Round,
    Spent,
    Summary,
    Synthesis,
    Taught,
    Training,
)
from ..decide.facts import spent_on_models
from ..decide.review import summed
from ..llm.budget import BUDGET
from ..view import View
from .marks import marks
from .stages import stages, taken

_EXCERPT = 100  # characters of a text
_LISTED = 10  # changes of labels that are told one by one


def summary(view: View, peak: float | None = None) -> Summary:
    """What the run came to. ``peak`` is the memory it took, in MB; None: as the log says.

    Raises:
        IntegrityError: an artefact was changed, or the rows were not read yet.
    """
    values, ledger = view.values, view.ledger()
    trained = (event for event in view.events if isinstance(event, Train))
    published = (event.peak_memory_mb for event in view.events if isinstance(event, Publish))
    return Summary(
        run=str(view.run.root),
        choices=choices_of_run(values, view.config),
        rows={"quarantined": values.quarantined, **counts(ledger)},
        anchor=len(view.anchor()),
        sealed=len(view.sealed()),
        headline=values.headline,
        unsealed=next((event.unsealed for event in view.events if isinstance(event, HoldOut)), None),
        selected=next((event.selected for event in view.events if isinstance(event, Select)), None),
        removed_by_reason=removed_by_reason(ledger),
        conflicts=conflicts(view),
        relabelled=relabelled(view),
        review=summed(view),
        funnel=funnel(ledger),
        stages=stages(view),
        taken=taken(view),
        marked=marks(view),
        rounds=rounds(view),
        converged=values.converged,
        stop_reason=values.stop_reason,
        models=values.models,
        pruned=next((event.reasons[0] for event in trained if event.share_left is not None), None),
        final_model=values.final_model,
        training=training(view),
        classifiers=values.classifiers,
        taught=taught(view),
        llm=spent(view),
        synthesis=syntheses(view),
        curated_sha256=values.curated_sha256,
        log_head=view.events[-1].hash,
        seconds=seconds_by_step(view),
        peak_memory_mb=next(published, peak_memory_mb()) if peak is None else peak,
    )


def training(view: View) -> Training | None:
    """How the final model was trained; None where there is none."""
    trained = next((event for event in reversed(view.events) if isinstance(event, Train)), None)
    if trained is None or not trained.tokens:
        return None
    params, shown = view.config.train, {"tokens", "epochs", "vocabulary", "losses", "base_sha256", "base_perplexity"}
    base, teacher = (None if one is None else Path(one).name for one in (params.model, params.distil_from))
    figures = trained.model_dump(include=shown | {"chat_rows", "plain_rows"})
    return Training(mode=params.mode, base=base, teacher=teacher, baseline=trained.baseline, **figures)


def taught(view: View) -> Taught | None:
    """What the final classifiers learned from; None where there are none."""
    trained = next((event for event in reversed(view.events) if isinstance(event, Train)), None)
    if trained is None or not trained.state.values.classifiers:
        return None
    labels = view.labels()
    learned = labels.gather(view.kept()).drop_nulls()
    return Taught(
        labels=learned.n_unique(),
        rows=len(learned),
        asked=len(labels.gather(view.anchor()).drop_nulls()),
        context=view.config.train.context,
        base_sha256=trained.base_sha256,
    )


def conflicts(view: View) -> Conflicts | None:
    """Contents that copies carry with different labels, and near-copies of another label; None where there are none."""
    found, near = view.values.conflicts, view.values.near_conflicts
    if found is None and not near:
        return None
    largest = () if found is None else found.largest
    texts = view.texts().gather([one.row for one in largest])
    listed = (
        ConflictShown(text=(text or "")[:_EXCERPT], labels=one.labels, stay=one.stay)
        for one, text in zip(largest, texts, strict=True)
    )
    counted = {"texts": 0, "rows": 0, "tied": 0} if found is None else found.model_dump(exclude={"largest"})
    return Conflicts(**counted, listed=tuple(listed), near=near)


def relabelled(view: View) -> Relabelled | None:
    """The rows in force that were given another label; None where there are none."""
    changed = view.relabelled()
    if changed.is_empty():
        return None
    kinds = changed.group_by("was", "label").agg(pl.len().alias("rows"))
    kinds = kinds.sort("rows", "was", "label", descending=[True, False, False])
    return Relabelled(
        rows=changed.height,
        kinds=kinds.height,
        listed=tuple(LabelChange(**one) for one in kinds.head(_LISTED).iter_rows(named=True)),
        column=free_name("recryst_label", list(view.values.meanings)),
        original=view.values.label_column or "",
    )


def peak_memory_mb() -> float:
    """The largest resident size this process has had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def rounds(view: View) -> tuple[Round, ...]:
    """One entry per decided round: the finished experiments, the ``stop`` that had none, and what a person put in
    force against the measurement (``keep``, ``undo``), with the outcome ``by_person``."""
    ended = (event for event in view.events if isinstance(event, Measure | Train | Override))
    return tuple(
        _measured(event, view.at(event.seq)) if isinstance(event, Measure) else _unmeasured(event, view.at(event.seq))
        for event in ended
    )


_SHOWN = {"round", "kept", "k", "embedded", "outcome", "label_agreement", "keep_agreement"}
_WHY = {
    "keep": "a person overrode the measurement",
    "undo": "a person took the last change back",
    "apply": "a person said what single rows are",
}


def _measured(event: Measure, at: View) -> Round:
    record, verdict = event.record, event.record.verdict
    return Round(
        **record.model_dump(include=_SHOWN),
        action=record.action.action,
        params=record.action.params,
        words=record.action.in_words(),
        reasons=at.decision.reasons,
        looks=looks_in_words(_decided(at)),
        rejected=_rejected(at),
        verdict=record.reasons,
        noise={} if verdict is None else _noise(verdict),
        metrics=record.after or record.before,
        before=record.before,
    )


def _noise(verdict: Verdict) -> dict[str, float]:
    """What each figure's change was held against: its standard error twice, and for the sum of all what was needed."""
    noise = {one.name: round(2 * one.error, 6) for one in verdict.changes if one.name not in ("mean", "clustering")}
    return {**noise, "clustering" if verdict.changes[-1].name == "clustering" else "value": verdict.needed}


def _unmeasured(event: Train | Override, at: View) -> Round:
    """The entry of a round without a measurement."""
    stopped = isinstance(event, Train)
    counted = _decided(at) if isinstance(event, Train) else event
    return Round(
        round=at.state.round,
        action="stop" if stopped else event.type,
        params={},
        words=Stop().in_words() if stopped else OVERRIDES[event.type],
        kept=counted.counts.kept,
        k=counted.k,
        embedded=_embedded(at),
        outcome="stopped" if stopped else "by_person",
        reasons=at.decision.reasons if stopped else (_WHY[event.type],),
        looks=looks_in_words(_decided(at)) if stopped else (),
        rejected=_rejected(at) if stopped else (),
        metrics=event.state.values.objective or at.objective,
        before=at.objective,
    )


def _decided(at: View) -> Decide:
    """The last decision."""
    return next(event for event in reversed(at.events) if isinstance(event, Decide))


def looks_in_words(event: Decide) -> tuple[str, ...]:
    """What a language model looked at before a decision, each call and its result in one line."""
    return tuple(one.in_words() for one in event.looks)


def _rejected(at: View) -> tuple[Rejected, ...]:
    """What was not chosen when the round was decided, whatever a person said to it."""
    return at.at(_decided(at).seq + 1).decision.rejected


def _embedded(at: View) -> int:
    """Rows embedded anew since the round began."""
    begun = max(event.seq for event in at.events if isinstance(event, Embed))
    return sum(event.embedded for event in at.events[begun:] if isinstance(event, Embed | Ablate))


def funnel(ledger: pl.DataFrame) -> tuple[FunnelStep, ...]:
    """Rows of the input removed by stage and reason, in the order of the stages; first, what was ingested."""
    removed = (
        ledger.filter((pl.col("status") == "removed") & (pl.col("origin") == "input"))
        .group_by("stage", "reason")
        .agg(pl.len().alias("rows"), pl.col("event").min())
        .sort("event", "rows", "reason", "stage", descending=[False, True, False, False])
    )
    rows = removed.select("stage", "reason", "rows").iter_rows(named=True)
    ingested = FunnelStep(stage="load", reason="ingested", rows=counts(ledger)["ingested"])
    return (ingested, *(FunnelStep(**row) for row in rows))


def syntheses(view: View) -> tuple[Synthesis, ...]:
    """One entry per ``synthesise`` action, with the trial's outcome."""
    outcomes = {event.record.round: event.record.outcome for event in view.events if isinstance(event, Measure)}
    acts = ((event, view.at(event.seq).state.round) for event in view.events if isinstance(event, Act))
    return tuple(
        Synthesis(**dict(act.synthesis), round=number, outcome=outcomes.get(number, "on trial"))
        for act, number in acts
        if act.synthesis is not None
    )


def seconds_by_step(view: View) -> dict[str, float]:
    """Seconds each step took, over all rounds and attempts."""
    seconds: dict[str, float] = {}
    for event in view.events:
        if isinstance(event, StepEvent):
            seconds[event.type] = round(seconds.get(event.type, 0.0) + event.seconds, 3)
    return seconds


def spent(view: View) -> Spent | None:
    """What the language model was asked and cost, by the log; None where the run has none."""
    if view.config.llm.model is None:
        return None
    calls = [call for event in view.events for call in event.llm]
    usd, tokens = spent_on_models(view.events)
    return Spent(
        model=view.config.llm.model,
        questions=len(calls),
        requests=sum(call.attempts for call in calls),
        cached=sum(call.cache_hit for call in calls),
        unusable=sum(bool(call.problem) and call.response_sha is not None for call in calls),
        not_asked=sum(call.problem == BUDGET for call in calls),
        tokens=tokens,
        usd=round(usd, 6) if all(call.usd is not None for call in calls) else None,
    )
