"""The tables and lines a person sees: when a run ends, and in a conversation about it.

Text from the data is made printable here, and is never markup.
"""

from collections.abc import Sequence

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...state.decision import Candidate, Critique, Proposal
from ...state.phrases import counted, number, printable
from ...state.report import ClusterEvidence, ClusterReport, Objective
from ...state.run import RunDirectory
from ...state.values import ClassifierFigures, ModelFigures
from ...tools.write.figures import (
    baseline_in_words,
    conflicts_in_words,
    gain_in_words,
    hardest,
    headline_in_words,
    headline_style,
    hit_in_words,
    near_in_words,
    relabelled_in_words,
    review_in_words,
    size,
)
from ...tools.write.outcome import outcome_in_words
from ...tools.write.reasons import in_words
from ...tools.write.shown import Conflicts, InDoubt, Mark, Relabelled, Round, Stage, Summary

TEXT = 160  # characters of a row that are shown
_PARTS = ("coverage", "clustering", "structure", "balance", "stability", "redundancy", "noise")
_WHO = {"rules": "the rules", "model": "the language model", "person": "you", "agent": "an agent"}


def line(text: str, style: str = "") -> Text:
    """One line; control characters of whatever is in it are taken out."""
    return Text(printable(text), style=style)


def _table(
    title: str | None, words: Sequence[str] = (), figures: Sequence[str] = (), after: Sequence[str] = ()
) -> Table:
    """A table with columns of words, then of figures (to the right), then of words again."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in words:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    for name in after:
        table.add_column(name, overflow="fold")
    return table


# When a run ends -------------------------------------------------------------------------------------------------


def show_summary(run: RunDirectory, result: Summary) -> None:
    """Print the rounds, the funnel, the models and where everything lies, on standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    console.print(rounds(result.rounds))
    console.print(_funnel(result))
    console.print(_stages(result.stages))
    if result.marked:
        console.print(_marks(result.marked))
        console.print(
            Text("marked rows stay; --apply RULE takes them out, and the report shows 10 of each", style="dim")
        )
    if result.conflicts:
        for told in conflicts(result.conflicts):
            console.print(told)
    if result.relabelled:
        for told in relabelled(result.relabelled):
            console.print(told)
    if result.review:
        console.print(Text(review_in_words(result.review), style="yellow"))
    for entry in hardest(result.taken):
        if entry.high:
            console.print(Text(f"far above the average: {printable(hit_in_words(entry))}", style="yellow"))
    if result.models:
        console.print(_models(result.models))
        if result.pruned is not None:
            console.print(result.pruned)
        if result.final_model is not None:
            console.print(f"final model: {result.final_model.name}: {result.final_model.why}")
        if result.training is not None and result.training.baseline is not None:
            console.print(Text(baseline_in_words(result.training.baseline, result.models[0])))
    if result.classifiers:
        console.print(_classifiers(result.classifiers))
    if spent := result.llm:
        price = "price not known" if spent.usd is None else f"${spent.usd:.4f}"
        said = (
            f"language model {spent.model}: {counted(spent.questions, 'question')} ({spent.cached:,} answered from the "
            f"record, {counted(spent.unusable, 'answer')} unusable, {spent.not_asked:,} not asked for want of budget), "
            f"{counted(spent.tokens, 'token')}, {price}"
        )
        console.print(Text(said))
    ended = "converged" if result.converged else "stopped"
    tried = sum(entry.action != "stop" for entry in result.rounds)
    console.print(Text(f"{ended} after {counted(tried, 'round')}: {printable(result.stop_reason or '')}"))
    if result.selected:
        console.print(Text(outcome_in_words(result.selected), style="" if result.selected.reached else "bold yellow"))
    if result.headline:
        console.print(Text(headline_in_words(result.headline), style=headline_style(result.headline)))
    elif result.unsealed:
        console.print(Text(f"no row was sealed for a last look: {result.unsealed}", style="dim"))
    for name, where in (
        ("curated data", run.curated),
        ("removed rows", run.removed),
        *([("notes", run.notes)] if run.notes.is_dir() else []),
        *([("rows in doubt", run.review)] if result.review and result.review.listed else []),
        ("report", run.report),
        ("decision log", run.log),
        ("dataset card", run.card),
        ("curated hash", result.curated_sha256),
        ("log head", result.log_head),
    ):
        console.print(Text(f"{name:<14} {where}"), soft_wrap=True)
    minutes = sum(result.seconds.values()) / 60
    console.print(Text(f"{minutes:.1f} minutes, {result.peak_memory_mb:,.0f} MB at most"))


def rounds(entries: Sequence[Round]) -> Table:
    """One line per round: what was tried, what it measured, and whether it stayed."""
    figures = ("round", "k", "kept", "worth", "coverage", "clustering", "gain")
    table = _table("Rounds", (), figures, ("action", "outcome"))
    for entry in entries:
        about = "clustering" if entry.action == "change_k" else "value"
        gain = getattr(entry.metrics, about) - getattr(entry.before, about)
        table.add_row(
            str(entry.round),
            str(entry.k),
            f"{entry.kept:,}",
            number(entry.metrics.value),
            number(entry.metrics.coverage, 3),
            number(entry.metrics.clustering, 3),
            f"{gain:+.4f}" if entry.action != "stop" else "",
            line(entry.words),
            line(entry.outcome.replace("_", " "), "green" if entry.outcome == "kept" else "dim"),
        )
    return table


def _funnel(result: Summary) -> Table:
    table = _table("Funnel", ("stage", "reason"), ("rows",))
    if result.rows["quarantined"]:
        table.add_row("load", "quarantined, not ingested", f"{result.rows['quarantined']:,}")
    for entry in result.funnel:
        sign = "" if entry.reason == "ingested" else "−"
        table.add_row(entry.stage, line(entry.reason), f"{sign}{entry.rows:,}")
    kept = result.rows["kept"]
    train, sealed = kept - result.anchor - result.sealed, f" + {result.sealed:,} sealed" if result.sealed else ""
    table.add_row("", f"kept ({train:,} train + {result.anchor:,} anchor{sealed})", f"{kept:,}", style="bold")
    if synthetic := result.rows["synthetic"]:
        table.add_row("act", "synthetic, added and marked", f"+{synthetic:,}")
    return table


def conflicts(found: Conflicts) -> list[Text]:
    """What became of contents with several labels, with examples, and of near-copies of another label."""
    lines = [line(conflicts_in_words(found), "yellow")] if found.texts else []
    for one in found.listed:
        votes = ", ".join(f"{label} {rows:,}" for label, rows in one.labels.items())
        lines.append(line(f"  {votes}: {one.text}"))
    return [*lines, line(near_in_words(found.near), "yellow")] if found.near else lines


def relabelled(found: Relabelled) -> list[Text]:
    """How many rows have another label than in the input, and the commonest changes."""
    lines = [line(relabelled_in_words(found), "yellow")]
    lines += [line(f"  {one.was} → {one.label}: {counted(one.rows, 'row')}") for one in found.listed]
    return (
        lines if found.kinds == len(found.listed) else [*lines, line(f"  and {found.kinds - len(found.listed):,} more")]
    )


def _stages(stages: Sequence[Stage]) -> Table:
    """One line per stage of the first separation; with ``--ablate``, what each was worth to the probe."""
    ablated = any(stage.gain for stage in stages)
    figures = ("rows in", "removed", "text in", "text removed", "seconds")
    table = _table("First separation", ("stage",), figures, ("gain of the probe",) if ablated else ())
    for stage in stages:
        table.add_row(
            stage.stage,
            f"{stage.rows:,}",
            "refused" if stage.refused else f"{stage.removed:,}",
            size(stage.bytes),
            size(stage.bytes_removed),
            f"{stage.seconds:.1f}",
            *([gain_in_words(stage.gain)] if ablated else []),
        )
    return table


def _marks(marks: Sequence[Mark]) -> Table:
    """One line per rule that marks rows, with a row of its own for an example."""
    table = _table("Marked, not taken out", ("rule",), ("rows", "share", "limit"), ("for example",))
    for mark in marks:
        limit = "" if mark.threshold is None else f"{mark.threshold:g}"
        example = next((f"{one.id}: {one.excerpt[:60]}" for one in mark.samples), "")
        table.add_row(mark.rule, f"{mark.rows:,}", f"{mark.rows / mark.of:.1%}", limit, line(example))
    return table


def _models(models: Sequence[ModelFigures]) -> Table:
    figures = ("size", "memory", "held-out perplexity", "change", "same token", "bits/byte", "speed")
    table, dense = _table("Trained model", ("model",), figures), models[0]
    for model in models:
        table.add_row(
            model.name,
            f"{model.size_bytes / 1e6:.2f} MB",
            "" if model.memory_bytes is None else f"{model.memory_bytes / 1e6:.2f} MB",
            f"{model.perplexity:.2f}",
            "" if model is dense else f"{model.perplexity / dense.perplexity - 1:+.2%}",
            "" if model.agreement is None else f"{model.agreement:.1%}",
            f"{model.bits_per_byte:.4f}",
            "" if model.speed is None else f"{model.speed:.2f} x",
        )
    return table


def _classifiers(classifiers: Sequence[ClassifierFigures]) -> Table:
    figures = ("parameters", "size", "held-out macro-F1", "of the teacher's", "accuracy")
    table = _table("Trained classifier", ("model", "kind"), figures)
    for model in classifiers:
        table.add_row(
            model.name,
            model.kind,
            f"{model.parameters / 1e6:.2f} M",
            f"{model.size_bytes / 1e6:.2f} MB",
            f"{model.macro_f1:.4f}",
            "" if model.share is None else f"{model.share:.1%}",
            f"{model.accuracy:.4f}",
        )
    return table


# In a conversation -----------------------------------------------------------------------------------------------


def proposal(shown: Proposal) -> RenderableType:
    """The proposal that waits, with everything its hash stands for."""
    said = f"round {shown.round}, proposed by {_WHO[shown.by]}: {_in_words(shown.candidate, ' at most')}"
    lines = [line(said, "bold"), *(line(f"  looked at {look.in_words()}", "dim") for look in shown.looks)]
    lines += [line(f"  because: {reason}") for reason in shown.reasons]
    lines += [line(f"  /try {at}: {_in_words(other)}", "dim") for at, other in enumerate(shown.alternatives, start=1)]
    if (trial := shown.rolled_back) is not None:
        tried = f"{trial.action.in_words()} (round {trial.round}, objective {trial.gain:+.4f})"
        lines.append(line(f"  /keep: {tried}, although it was rolled back", "dim"))
    stops = shown.candidate.action.action == "stop"
    keys = "y: finish   another action: go on" if stops else "y: do it   n: reject it"
    return Group(*lines, line(f"  {keys}   /help", "dim"))


def _in_words(candidate: Candidate, bound: str = "") -> str:
    rows = f" ({counted(candidate.rows, 'row')}{bound})" if candidate.rows else ""
    return candidate.action.in_words() + rows


def going(rows: pl.DataFrame, first: int, total: int) -> RenderableType:
    """Rows that the action that waits is about, as ``going`` gives them, numbered from ``first`` on."""
    last = first + rows.height - 1
    table = _table(f"rows {first:,} to {last:,} of {total:,}", (), ("",), ("id", "what becomes of it", "text"))
    for number_, row in enumerate(rows.iter_rows(named=True), start=first):
        words = in_words(row["reason"]) if row["becomes"] == "removed" else ""
        label = f"{row['label']} → {row['to']}" if row["becomes"] == "relabelled" else ""
        score = "" if row["score"] is None else f"({number(row['score'])})"
        becomes = " ".join(filter(None, (row["becomes"], label, words and f"because {words}", score)))
        text = Text("\n").join([line(row["text"][:TEXT]), *_twin(row["twin_text"])])
        table.add_row(str(number_), line(row["id"]), line(becomes), text)
    more = [line(f"  /preview {last + 1} shows more", "dim")] if last < total else []
    return Group(table, *more)


def _twin(text: str | None) -> list[Text]:
    return [] if text is None else [line(f"stays: {text[:TEXT]}", "dim")]


def clusters(report: ClusterReport, critiques: Sequence[Critique]) -> RenderableType:
    """One line per cluster."""
    title = f"{counted(report.k, 'cluster')} of {report.rows:,} rows ({report.algorithm})"
    figures = ("cluster", "rows", "cohesion", "silhouette", "stability", "near-dup.", "outliers", "low quality")
    table = _table(title, (), figures, ("verdict", "terms"))
    for cluster, critique in zip(report.clusters, critiques, strict=True):
        table.add_row(
            str(cluster.cluster),
            f"{cluster.size:,}",
            *(number(value, 2) for value in (cluster.cohesion, cluster.silhouette, cluster.stability)),
            *(f"{share:.0%}" for share in (cluster.near_duplicates, cluster.outliers, cluster.low_quality)),
            critique.verdict + (" (review)" if critique.review else ""),
            line(critique.theme or ", ".join(cluster.terms[:5])),
        )
    return table


def cluster(evidence: ClusterEvidence, critique: Critique, rows: Sequence[tuple[str, str, str]]) -> RenderableType:
    """The evidence on one cluster; ``rows`` are (role, id, text)."""
    figures = (
        f"cluster {evidence.cluster}: {counted(evidence.size, 'row')}, cohesion {number(evidence.cohesion, 2)}, "
        f"silhouette {number(evidence.silhouette, 2)}, stability {number(evidence.stability, 2)}, near-duplicates "
        f"{evidence.near_duplicates:.0%}, outliers {evidence.outliers:.0%}, low quality {evidence.low_quality:.0%}"
    )
    table = _table(None, ("row", "id", "text"))
    for role, row_id, text in rows:
        table.add_row(role, line(row_id), line(text[:TEXT]))
    verdict = f"verdict: {critique.verdict}: {'; '.join((*critique.reasons, *critique.said))}"
    theme = [line(f"theme: {critique.theme}")] if critique.theme else []
    terms = line(f"terms: {', '.join(evidence.terms)}")
    return Group(line(figures, "bold"), *theme, terms, line(verdict), table)


def in_doubt(row: InDoubt, rows: int) -> RenderableType:
    """A row in doubt with what speaks against it, and how it is answered."""
    figures = "  ".join(f"{name} {number(value)}" for name, value in row.evidence.items())
    label = "" if row.label is None else f"  label: {row.label}"
    suggested = "" if row.suggested is None else f"   suggested: {row.suggested}"
    said = [line(f"{label}{suggested}")] if label or suggested else []
    keys = "/answer keep   /answer remove" + ("" if row.label is None else "   /answer label [NAME]")
    return Group(
        line(f"row {row.id}, the first of {counted(rows, 'row')} in doubt: {row.words}", "bold"),
        line(f"  {row.text[: 2 * TEXT]}"),
        *said,
        *([line(f"  {figures}", "dim")] if figures else []),
        line(f"  {keys}   then /apply", "dim"),
    )


def metrics(first: Objective, now: Objective) -> RenderableType:
    """The objective and its parts, at the start and now."""
    table = _table("What the data are worth, and how they cluster", ("figure",), ("at the start", "now"))
    table.add_row("worth of the rows", number(first.value), number(now.value))
    for before, after in zip(first.probes, now.probes, strict=True):
        table.add_row(before.name.replace("_", " "), number(before.score), number(after.score))
    for part in _PARTS:
        table.add_row(part, number(getattr(first, part)), number(getattr(now, part)))
    return table
