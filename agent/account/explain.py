"""Why one row stayed or went: its way through the log."""

import difflib

import polars as pl
from pydantic import Field

from ...state.actions import Action, Edit, EditRows, Relabel
from ...state.canonical import Json
from ...state.errors import UsageError
from ...state.events import Act, Approve, Decide, Event, JudgeHeldOut, Measure
from ...state.report import Record
from ...state.rows import LEDGER_SCHEMA
from ...state.values import Role, RunState
from ...tools.judge.taxonomy import LABELS, PARTS
from ...tools.text import filters
from ...tools.write.reasons import in_words
from ..decide.undo import standing_actions
from ..view import View
from .notes import Note, notes_on
from .suspicion import evidence_on_row
from .suspicion import in_words as evidence_in_words

_EDITED: dict[Edit, str] = {
    "restore": "brought back", "drop": "taken out", "protect": "protected", "label": "relabelled"
}  # fmt: skip
_SEED_TEXT = 100  # characters of a seed that are told


class Line(Record):
    """A row's line of a ledger."""

    row: int
    id: str
    origin: str
    status: str
    split: str
    stage: str
    reason: str
    score: float | None
    threshold: float | None
    duplicate_of: str | None
    event: int


class Row(Line):
    """A row as it stands now; from ``cluster`` on, what is known of it."""

    text: str | None
    cluster: int | None = None
    quality: float | None = None
    marked: dict[str, float] = Field(
        default_factory=dict
    )  # rule that the row fails → what it measured, whether or not it was applied
    twin: str | None = None  # the row it nearly repeats, whether or not that was applied
    label: str | None = None  # its class label in force
    label_in_input: str | None = None  # where that is another
    notes: tuple[Note, ...] = ()  # by people
    said: str | None = None  # by a person: keep, remove or label NAME
    evidence: Json | None = None  # figures of the last evidence on single rows
    labels: Json | None = None  # domain, tags and difficulty, and who gave each; None in it where nobody was sure
    copies_by_label: dict[str, int] | None = None  # where its copies carry several labels, itself among them
    generator: str | None = None  # the language model that wrote it, after the rows `seeds`
    seeds: tuple[str, ...] = ()
    seed_texts: tuple[str, ...] = ()


class NewLabel(Record):
    """A label that a row was given instead of another, as what bore out that one lay below a threshold."""

    was: str | None
    label: str | None
    score: float | None = None
    threshold: float | None = None


class RowStep(Line):
    """A step that changed the line or label of a row, or would have: then ``outcome`` and ``why`` tell of the trial."""

    round: int
    step: str
    action: str | None = None
    edit: Edit | None = None  # what a person did with the row
    who: str = ""  # the name of that person
    relabelled: NewLabel | None = None
    outcome: str | None = None
    why: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()  # at which a language model looked before it chose the action


class Explanation(Record):
    """A row as it stands now, and every step that changed it or would have."""

    row: Row
    steps: tuple[RowStep, ...]

    def plain(self) -> Json:
        """As JSON; what the row or a step does not have is left out."""
        return self.model_dump(mode="json", exclude_unset=True)

    def __str__(self) -> str:
        return "\n".join(told(self))


def explain(view: View, row_id: str) -> Explanation:
    """The way of a row through the run.

    Raises:
        UsageError: the run has no such row; the nearest id is named.
        IntegrityError: an artefact was changed.
    """
    if not view.has("ledger"):
        raise UsageError(f"{view.run.root} has not read its rows yet")
    now = _line(view, view.ref("ledger"), row_id)
    if now is None:
        hint = f"; did you mean {nearest!r}?" if (nearest := nearest_id(view, row_id)) else ""
        raise UsageError(f"{view.run.root} has no row {row_id!r}{hint}")
    text = view.frame("rows", "text")["text"][now.row]
    return Explanation(row=Row(**dict(now), text=text, **_known(view, now)), steps=_steps(view, row_id))


def nearest_id(view: View, row_id: str) -> str | None:
    """The id that is most like one that no row has."""
    found = difflib.get_close_matches(row_id, view.ledger()["id"].head(100_000).to_list(), n=1)
    return found[0] if found else None


def _known(view: View, line: Line) -> Json:
    """The row's cluster, predicted quality, labels, evidence and origin, as far as it has them."""
    found: Json = {}
    if (label := view.labels()[line.row]) is not None:
        found["label"] = label
        if (was := view.frame("rows", "label")["label"][line.row]) != label:
            found["label_in_input"] = was
    if word := _at(view, "answers", line.row):
        found["said"] = " ".join(filter(None, (word["answer"], word["label"])))
    if notes := notes_on(view, line.row):
        found["notes"] = notes
    if evidence := evidence_on_row(view, line.row, line.event):
        found["evidence"] = evidence
    if line.origin == "input" and view.has("verdicts", "annotations"):
        failed = view.frame("verdicts").row(line.row, named=True)
        limits = filters.bounds(view.values.profile, view.values.thresholds)
        found["marked"] = {
            rule: view.frame("annotations")[limits[rule].measure][line.row]
            for rule in failed
            if failed[rule] and rule in limits
        }
    if twin := _at(view, "near_duplicates", line.row):
        found["twin"] = twin["duplicate_of"]
    if cluster := _at(view, "assignments", line.row):
        found["cluster"] = cluster["cluster"]
    if quality := _at(view, "quality", line.row):
        found["quality"] = quality["score"]
    if labels := _at(view, "row_labels", line.row):
        found["labels"] = {name: labels[name] for name in LABELS}
    if view.values.conflicts is not None and len(votes := _votes(view, line.row)) > 1:
        found["copies_by_label"] = votes
    if line.origin == "synthesis" and (written := _at(view, "synthetic", line.row)):
        texts = dict(view.frame("rows", "id", "text").filter(pl.col("id").is_in(written["seeds"])).iter_rows())
        if view.has("seeds"):
            texts |= {seed["id"]: seed["text"] for seed in view.json("seeds")}
        found |= {"generator": written["generator"], "seeds": written["seeds"]}
        found["seed_texts"] = [texts.get(seed) or "" for seed in written["seeds"]]
    return found


def _votes(view: View, row: int) -> dict[str, int]:
    """How many rows of the input with the content of a row carry which label, the most first."""
    contents = view.contents().head(view.values.ingested)
    if row >= len(contents) or contents[row] is None:
        return {}
    labels = view.labels().filter((contents == contents[row]).fill_null(False)).drop_nulls()
    votes = labels.alias("label").value_counts(name="rows").sort("rows", "label", descending=[True, False])
    return dict(votes.iter_rows())


def _at(view: View, role: Role, row: int) -> Json | None:
    """The line of a position in the table of a role; None where there is neither."""
    found = view.frame(role).filter(pl.col("row") == row) if view.has(role) else pl.DataFrame()
    return found.row(0, named=True) if found.height else None


def _line(view: View, ref: str, row_id: str) -> Line | None:
    path = view.store.verified_path(ref)
    found = pl.scan_parquet(path).filter(pl.col("id") == row_id).select(list(LEDGER_SCHEMA)).collect()
    return Line(**found.row(0, named=True)) if found.height else None


def _steps(view: View, row_id: str) -> list[RowStep]:
    """The changes of the row's line from ledger to ledger and of its label; a trial says what became of it."""
    steps: list[RowStep] = []
    lines: list[Line | None] = [None]  # those in force, and on top the one on trial
    labels: list[str | None] = [None]  # given to it instead of that of the input
    state = RunState()
    for event in view.events:
        state = state.after(event)
        if isinstance(event, Measure) and steps and steps[-1].action and steps[-1].round == state.round:
            steps[-1] = steps[-1].model_copy(update={"outcome": event.outcome, "why": event.reasons})
            if event.outcome != "kept":
                lines.pop()
                labels.pop()
            continue
        patch = {} if event.state is None else event.state.artefacts
        ref = patch.get("trial_ledger") or patch.get("ledger")
        line = (_line(view, ref, row_id) if ref else None) or lines[-1]
        label = _given(view, patch["relabelled"], line) if line and "relabelled" in patch else labels[-1]
        edit = _edit(state, event, line)
        if line is not None and (edit or line != lines[-1] or label != labels[-1]):
            step = RowStep(**dict(line), round=state.round, step=event.type)
            if edit:
                step = step.model_copy(update={"edit": edit, "event": event.seq, "who": _who(view, event.seq)})
            if isinstance(event, Act) and (decision := state.values.decision):
                step = step.model_copy(update={"action": decision.action.action})
                if looks := _looks(view, event.seq):
                    step = step.model_copy(update={"looks": looks})
            if label != labels[-1]:
                new = _new_label(view, event.seq, line, labels[-1], label)
                step = step.model_copy(update={"relabelled": new, "event": event.seq})
            steps.append(step)
            lines.append(line)
            labels.append(label)
    return steps


def _edit(state: RunState, event: Event, line: Line | None) -> Edit | None:
    """What a person did with the row of a line by an ``act``; None where that is about others, or was refused."""
    if line is None or not isinstance(event, Act) or event.outcome == "refused" or state.values.decision is None:
        return None
    action = state.values.decision.action
    return action.edit if isinstance(action, EditRows) and line.row in action.rows else None


def _who(view: View, seq: int) -> str:
    """The name of the person who approved what an ``act`` carries out."""
    answers = (event for event in reversed(view.events[:seq]) if isinstance(event, Approve) and event.actor == "human")
    return next((event.answer.who for event in answers), "")


def _looks(view: View, seq: int) -> tuple[str, ...]:
    """What was looked at before the decision that an ``act`` carries out."""
    decided = next(event for event in reversed(view.events[:seq]) if isinstance(event, Decide))
    return tuple(one.in_words() for one in decided.looks)


def _given(view: View, ref: str | None, line: Line) -> str | None:
    """The label that a table of changed labels gives to a row."""
    found = view.store.frame(ref).filter(pl.col("row") == line.row)["label"] if ref else pl.Series()
    return found[0] if len(found) else None


def _new_label(view: View, seq: int, line: Line, was: str | None, label: str | None) -> NewLabel:
    """What an event made of the label of a row, by which evidence. ``was``, ``label``: None for that of the input."""
    own = view.frame("rows", "label")["label"][line.row]
    named = {"was": own if was is None else was, "label": own if label is None else label}
    event = view.events[seq]
    if isinstance(event, Act):
        actions: tuple[Action, ...] = (view.at(seq).decision.action,)
        found = _at(view.at(seq), "evidence", line.row)
    elif isinstance(event, JudgeHeldOut):
        actions = standing_actions(view.at(seq))
        found = _at(view.at(seq + 1), "anchor_evidence", line.row)
    else:
        return NewLabel(**named)
    score = found["label_support"] if found else None
    limits = (action.threshold for action in actions if isinstance(action, Relabel))
    passed = next((limit for limit in limits if score is not None and score < limit), None)
    return NewLabel(**named, score=score, threshold=passed)


def told(found: Explanation) -> list[str]:
    """What ``explain`` found, in lines for a person; text of the data is in them as it is."""
    row = found.row
    lines = [f"row {row.id} (position {row.row}): {row.status}{_because(row)}"]
    lines.append(f"  text: {(row.text or '')[:300]}")
    if row.generator is not None:
        lines.append(f"  written by {row.generator} after the rows")
        seeds = zip(row.seeds, row.seed_texts, strict=True)
        lines += [f"    {seed}: {text[:_SEED_TEXT]}" for seed, text in seeds]
    if row.label is not None:
        was = "" if row.label_in_input is None else f"; in the input {row.label_in_input}"
        lines.append(f"  label {row.label}{was}")
    if row.said is not None:
        lines.append(f"  a person said: {row.said}")
    lines += [f"  note by {one.who or 'a person'} at event {one.event}: {one.note}" for one in row.notes]
    if row.evidence is not None:
        lines += [f"  evidence: {said}" for said in evidence_in_words(row.evidence)]
    if row.marked:
        lines.append(f"  marked by {', '.join(f'{rule} ({value:g})' for rule, value in row.marked.items())}")
    if row.twin is not None:
        lines.append(f"  nearly repeats row {row.twin}")
    if row.copies_by_label is not None:
        votes = ", ".join(f"{label} {rows:,}" for label, rows in row.copies_by_label.items())
        lines.append(f"  its text stands with several labels: {votes}; the label of most copies stays")
    if row.cluster is not None:
        lines.append(f"  cluster {row.cluster}" + (" (noise: it belongs to none)" if row.cluster == -1 else ""))
    if row.quality is not None:
        lines.append(f"  predicted quality {row.quality:.2f} of 5")
    if (labels := row.labels) is not None:
        given = [(part, [labels[part]] if part != "tags" else labels[part]) for part in PARTS if labels[part]]
        by = {part: labels[f"{part}_by"].replace("_", "-") for part, _ in given}
        said = [f"{part} {', '.join(names)} (by {by[part]})" for part, names in given]
        lines.append(f"  labels: {'; '.join(said) or 'unsure'}")
    return [*lines, *(said for step in found.steps for said in (_told_step(step), *_told_looks(step)))]


def _told_looks(step: RowStep) -> list[str]:
    return [f"    looked at before it: {look}" for look in step.looks]


def _told_step(step: RowStep) -> str:
    said = f"  event {step.event}, {step.step}"
    if step.round:
        said += f", round {step.round}"
    if step.edit is not None:
        said += f": {_EDITED[step.edit]} by {step.who or 'a person'}"
    if (new := step.relabelled) is not None:
        said += f": label {new.label} instead of {new.was}"
        if new.score is not None:
            said += f", which the other rows bear out to {_held_against(new.score, new.threshold)}"
    else:
        said += f": {step.status}{_because(step)}"
    if step.outcome is not None:
        said += f", on trial; the trial was {step.outcome.replace('_', ' ')}: {'; '.join(step.why)}"
    return said


def _because(line: Line) -> str:
    said = f" ({line.reason})"
    if line.status == "removed":
        words = in_words(line.reason)
        said = f" by {line.stage}: {line.reason}" + (f", {words}" if words != line.reason else "")
    if line.score is not None:
        said += f", score {_held_against(line.score, line.threshold)}"
    elif line.threshold is not None:
        said += f", threshold {line.threshold:g}"
    if line.duplicate_of is not None:
        said += f", duplicate of row {line.duplicate_of}"
    return said


def _held_against(score: float, threshold: float | None) -> str:
    """A figure, and on which side of its threshold it lies."""
    if threshold is None:
        return f"{score:.4f}"
    return f"{score:.4f}, {'below' if score < threshold else 'at or above'} the threshold of {threshold:g}"
