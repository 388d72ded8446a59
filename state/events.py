"""The events: one model for each type, one line of the log each, hashed together with the hash of the line before.

A *note* (``notes``) changes nothing of what the run is. A *step* has a patch of the state, and is derived again by the
audit; ``docs/audit.md`` lists the few fields that are taken as logged.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from .decision import Answer, Appraisal, Budget, Candidate, Facts, Look, RoundRecord
from .notes import Base, Chat, Effect, Error, Input, Resume, RowCounts, Sent, Start
from .params.vectors import ClusterParams
from .report import Record, Selected
from .values import BaselineFigures, Role, StatePatch, SynthesisFigures


class StepEvent(Base):
    """A step of the cycle."""

    state: StatePatch
    actor: Literal["agent", "human", "rules"] = "agent"
    config_sha: str
    seed: int
    seconds: float
    inputs: tuple[Input, ...] = ()
    reasons: tuple[str, ...] = ()
    outcome: str | None = None
    effects: tuple[Effect, ...] = ()
    sent: Sent | None = None


class Load(StepEvent):
    """The input was read."""

    type: Literal["load"] = "load"
    counts: RowCounts
    input_sha256: str | None  # None: a folder, a stream or a hub
    missing_text: int
    missing_label: int
    duplicate_ids: int
    scrubbed: dict[str, int] | None = None  # None: nothing was looked for


class _Removals(StepEvent):
    """Rows were taken out, or refused to be; or only marked, because no one named what marks them."""

    counts: RowCounts
    by_reason: dict[str, int]
    marked: dict[str, int] = Field(default_factory=dict)  # rule → rows it would take of those that stay


class Clean(_Removals):
    """The text was normalised; copies went."""

    type: Literal["clean"] = "clean"
    normalised: int  # texts that changed
    label_conflicts: int  # contents that copies carry with different labels


class Answers(StepEvent):
    """What a person said of single rows, in a file beside the input, was put in force."""

    type: Literal["answers"] = "answers"
    counts: RowCounts
    kept: int
    removed: int
    labelled: int
    lost: int  # answers on rows that are not there


class Language(_Removals):
    """The language of every row was identified."""

    type: Literal["language"] = "language"
    languages: dict[str, int]


class Separation(_Removals):
    """The quality rules were applied; near-duplicates and rows of a corpus were sought; or texts of benchmarks."""

    type: Literal["filter", "dedup", "decontaminate"]


class HoldOut(StepEvent):
    """The anchor was drawn, and after it the sealed rows, whose hash commits the run to them.

    ``sealed_sha256`` is of their ids, contents and labels (``steps/rows/seal.py``); None where none is sealed,
    and then ``unsealed`` says why.
    """

    type: Literal["hold_out"] = "hold_out"
    anchor: int
    sealed_rows: int = 0
    sealed_sha256: str | None = None
    unsealed: str | None = None
    groups: int = 0  # of two rows or more that stand on one side of it
    grouped: int = 0  # rows in them
    divided: bool = False  # rows of one group stand on both sides: no other anchor was to be had


class Estimate(Record):
    """What the language model may cost at most, said before it is asked anything."""

    calls: int
    tokens: int
    usd: float | None


class Windows(Record):
    """How many texts were embedded anew, those longer than one window of the model, and the windows read of all.

    ``times``: the work, in that of reading first windows alone.
    """

    texts: int
    long: int
    windows: int
    times: float


class Shortened(Record):
    """Whether vectors were laid along fewer axes, and by what that was decided.

    ``recall``: sizes that were measured, with the share of the nearest neighbours that each finds.
    """

    width: int  # of the vectors as they were made
    size: int | None  # axes that they were laid along; None: all dimensions stay
    fitted: int  # rows that the axes were fitted to
    asked: int  # others, that asked for their neighbours
    recall: tuple[tuple[int, float], ...]


class Embed(StepEvent):
    """A round began; rows without a vector got one, of what they say beside the ``passages`` that many of them share.

    ``windows`` is None where no text was longer than one; ``runtime`` is what computes vectors in this process, and
    in which precision, None where it was not asked. ``shortened``: where the settings ask for shorter vectors, in the
    first round; the axes follow from the ``evidence``.
    """

    type: Literal["embed"] = "embed"
    rows: int
    embedded: int
    cached: int
    passages: int = 0
    runtime: str | None = None
    windows: Windows | None = None
    estimate: Estimate | None = None
    shortened: Shortened | None = None
    evidence: dict[Role, str] = Field(default_factory=dict)


class EmbedPairs(StepEvent):
    """Questions and answers were embedded apart."""

    type: Literal["embed_pairs"] = "embed_pairs"
    rows: int
    embedded: int
    cached: int


class Quality(StepEvent):
    """The quality score was learned, or given to the rows embedded since."""

    type: Literal["quality"] = "quality"
    rows: int = 0
    learned: dict[str, dict[str, float | int | str | None]] = Field(default_factory=dict)  # lesson → its figures


class Cluster(StepEvent):
    """The kept rows were grouped, or the grouping in force was used again."""

    type: Literal["cluster"] = "cluster"
    reused: bool = False
    k: int = 0
    noise: int = 0
    rows: int = 0


class Reduce(StepEvent):
    """The rows were projected by PCA, or placed among those that were."""

    type: Literal["reduce"] = "reduce"
    reused: bool = False
    placed: int = 0
    landmarks: int = 0
    trustworthiness: dict[str, float] = Field(default_factory=dict)


class Draw(StepEvent):
    """The maps beside PCA's were drawn, for the report."""

    type: Literal["draw"] = "draw"
    landmarks: int = 0
    trustworthiness: dict[str, float] = Field(default_factory=dict)


class Bare(StepEvent):
    """A step all of whose results are artefacts and values."""

    type: Literal["score", "baseline", "quantise", "label"]


class StageGain(Record):
    """What one stage of the first separation was worth to the probe; None where nothing could be put back."""

    stage: str
    removed: int
    anchor_copies: int
    unlabelled: int
    added: int
    gain: float | None  # of the mean over the probes
    error: float | None  # of that
    verdict: str


class Ablate(StepEvent):
    """The probe was trained with and without each stage."""

    type: Literal["ablate"] = "ablate"
    stages: tuple[StageGain, ...]
    embedded: int
    cached: int
    evidence: dict[Role, str] = Field(default_factory=dict)


class Critique(StepEvent):
    """Every cluster was judged, or the verdicts in force were used again."""

    type: Literal["critique"] = "critique"
    reused: bool = False
    verdicts: dict[str, int] = Field(default_factory=dict)
    by_rules: int = 0
    review: tuple[int, ...] = ()


class Evidence(StepEvent):
    """The evidence on single rows was gathered, or that in force stands."""

    type: Literal["evidence"] = "evidence"
    reused: bool = False
    rows: int = 0
    kinds: tuple[str, ...] = ()


class Appraise(StepEvent):
    """What actions on rows would be worth was measured, before anything was decided."""

    type: Literal["appraise"] = "appraise"
    appraisals: tuple[Appraisal, ...] = ()  # what was measured now
    offered: dict[str, str] = Field(default_factory=dict)  # key of an action → name of the rows before and after it
    evidence: dict[Role, str] = Field(default_factory=dict)


class Decide(StepEvent):
    """An action was chosen; the decision stands among the values.

    ``looks``: what a language model looked at before it chose, call by call. ``appraisals``: of actions that were
    measured on the way; ``evidence``: the measurements they and the looks rest on.
    """

    type: Literal["decide"] = "decide"
    counts: RowCounts
    k: int
    facts: Facts
    budget: Budget
    candidates: tuple[Candidate, ...]
    looks: tuple[Look, ...] = ()
    appraisals: tuple[Appraisal, ...] = ()
    evidence: dict[Role, str] = Field(default_factory=dict)


class Approve(StepEvent):
    """A proposal was answered; ``actor`` says by whom."""

    type: Literal["approve"] = "approve"
    answer: Answer
    candidates: tuple[Candidate, ...] = ()  # an action that the answer brought in


class Act(StepEvent):
    """The action was carried out on a trial copy."""

    type: Literal["act"] = "act"
    counts: RowCounts
    embedded: int = 0
    synthesis: SynthesisFigures | None = None


class Measure(StepEvent):
    """The trial was measured, and kept or rolled back. ``evidence`` is its clustering, whatever became of it."""

    type: Literal["measure"] = "measure"
    record: RoundRecord
    clustering: ClusterParams | None = None  # None: the trial was refused
    evidence: dict[Role, str] = Field(default_factory=dict)


class Override(StepEvent):
    """A person put a trial in force that was rolled back, took the last change back, or said what single rows are."""

    type: Literal["keep", "undo", "apply"]
    counts: RowCounts
    k: int


class Select(StepEvent):
    """The rounds are over, and rows went until the outcome that the user wants was reached.

    ``evidence``: what the probes make of the anchor for each choice of rows that was measured.
    """

    type: Literal["select"] = "select"
    counts: RowCounts
    selected: Selected
    evidence: dict[Role, str] = Field(default_factory=dict)


class OpenSealed(StepEvent):
    """The rounds are over, and the sealed rows were looked at, once; what they say stands among the values."""

    type: Literal["open_sealed"] = "open_sealed"
    rows: int
    sealed_sha256: str
    embedded: int
    cached: int


class JudgeHeldOut(StepEvent):
    """The held-out rows were judged by the limits of the actions that stand."""

    type: Literal["judge_held_out"] = "judge_held_out"
    counts: RowCounts
    removed: int
    relabelled: int


class Review(StepEvent):
    """The rows in doubt were listed for a person, the most informative first."""

    type: Literal["review"] = "review"
    rows: int
    by: dict[str, int]  # why → rows
    listed: int


class Train(StepEvent):
    """The final model was trained, or left out."""

    type: Literal["train"] = "train"
    tokens: int = 0
    epochs: float = 0.0  # passes over the text
    vocabulary: int = 0
    losses: tuple[float, ...] = ()
    base_sha256: str | None = None  # of the weights of the model that was fine-tuned, or the teacher; None: neither
    base_perplexity: float | None = None  # what that model makes of the held-out text
    unpruned_perplexity: float | None = None  # before a part of the model was taken out; None: none was
    unpruned_parameters: int | None = None
    share_left: float | None = None  # of those parameters: what is there and not zero
    baseline: BaselineFigures | None = None  # None: it was not asked for
    chat_rows: int = 0  # rows of a pass that the chat template of that model spelt …
    plain_rows: int = 0  # … and those beside them, read as plain text


class Export(StepEvent):
    """The curated rows were written."""

    type: Literal["export"] = "export"
    counts: RowCounts
    rows: dict[str, int]  # by split


class Publish(StepEvent):
    """The report and the cards were written."""

    type: Literal["publish"] = "publish"
    peak_memory_mb: float


Event = (
    Start | Resume | Error | Chat
    | Load | Clean | Answers | Language | Separation | HoldOut | Embed | EmbedPairs | Quality | Cluster | Reduce | Bare
    | Draw | Ablate | Critique | Evidence | Appraise | Decide | Approve | Act | Measure | Override | Select | OpenSealed
    | JudgeHeldOut | Review
    | Train | Export | Publish
)  # fmt: skip
#: Reads an event of any type from plain values.
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
