"""What a run *is* between two events: the state that the patches of its events add up to, small and JSON-native.

``Artefacts`` name tables, arrays and JSON in the store by their role; ``Values`` are the small rest. A patch holds only
what an event sets: a value that is set to None is written, one that is not set is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_serializer
from pydantic_core import to_jsonable_python

from .actions import Thresholds
from .decision import Decision, Granularity
from .params.vectors import ClusterParams
from .report import Headline, Objective, ProbeName, Record

if TYPE_CHECKING:
    from .events import Event

Role = Literal[
    "rows", "originals", "quarantine", "given_vectors", "ledger",
    "liked", "liked_vectors", "taxonomy", "seeds", "benchmarks",
    "text", "languages", "annotations", "verdicts", "in_corpus", "near_duplicates", "matches", "groups",
    "pool", "vectors", "neighbor_indices", "neighbor_similarities", "density", "anchor_vectors", "anchor_radii",
    "axes", "second_moments",
    "taught", "endorsed_vectors", "quality_model", "quality", "evidence", "anchor_evidence", "relabelled",
    "anchor_scores", "trial_scores", "standing_scores", "rotated_confirmed", "selection_scores",
    "pair_rows", "question_vectors", "answer_vectors",
    "assignments", "centroids", "space", "scores", "maps", "report", "critiques",
    "sealed_vectors", "sealed_evidence", "sealed_scores", "looked_labels", "looked_scores",
    "trial_ledger", "synthesis", "synthetic", "synthetic_originals",
    "row_labels", "zero_shot", "answer_file", "answers", "review", "classified",
]  # fmt: skip
Artefacts = dict[Role, str | None]  # role → reference; in a patch None takes the role away


class LearnedQuality(Record):
    """Which lessons the quality score rests on, and the score that a tenth of the rows stayed below."""

    used: tuple[str, ...]
    below: float | None


class SynthesisFigures(Record):
    """Seeds → questions → generated → dropped by reason → kept."""

    seeds: int
    questions: int
    generated: int
    dropped: dict[str, int]
    kept: int
    narrowed: tuple[int, ...]
    cut_short: bool


class ModelFigures(Record):
    """A trained model in one format: its size, what it makes of the held-out text, and an answer of its own.

    ``agreement``: at which share of the held-out tokens it takes the same for the next as the dense model does.
    ``speed``: tokens read in a second, in a ratio to the dense model; None of GGUF, whose own runtime is not here.
    """

    name: str
    size_bytes: int
    perplexity: float
    bits_per_byte: float
    answer: str
    parameters: int | None = None
    memory_bytes: int | None = None
    agreement: float | None = None
    speed: float | None = None


class BaselineFigures(Record):
    """What the training of the final model makes of the crude rows. Its tokens are of another tokenizer, if from
    scratch: bits per byte compare."""

    rows: int
    tokens: int
    epochs: float
    vocabulary: int
    bits_per_byte: float


class ClassifierFigures(Record):
    """A trained classifier and what it makes of the held-out rows that have a label.

    ``name``: its folder below ``model``. ``share``: its macro-F1 in a ratio to that of the teacher it was distilled
    from; None where it had none.
    """

    name: str
    kind: Literal["encoder", "head", "distilled"]
    parameters: int
    size_bytes: int
    macro_f1: float
    accuracy: float
    share: float | None = None


class FinalModel(Record):
    """Which of the models is the final one, and why in words."""

    name: str
    why: str


class Trial(Record):
    """An action as it was carried out on a copy: what it aims at, or why it was refused."""

    clustering: ClusterParams
    thresholds: Thresholds
    refused: str | None
    before: Artefacts  # what its tables replaced; a rollback brings it back


class LabelLesson(Record):
    """What taught the classifier of one part of the labels, and from where on it is sure.

    ``examples``: rows that the rules labelled. ``left_out``: names that it never gives, for too few keywords tell them.
    ``judged``: examples that it was tried on, taught without their keywords. ``margin``: the lead over the second name
    from which it labels, and ``right``, the share of the judged ones that lead by as much and were named as the rules
    do; None where it labels nothing.
    """

    examples: int
    left_out: tuple[str, ...]
    judged: int
    margin: float | None
    right: float | None


class LabelTally(Record):
    """How many rows were labelled by whom, part by part, and how many got each name of the taxonomy.

    ``by``: part → who → rows. ``lessons``: part → what its classifier learned, where one was asked for.
    """

    rows: int
    by: dict[str, dict[str, int]]
    lessons: dict[str, LabelLesson] = Field(default_factory=dict)
    unsure: int
    domains: dict[str, int]
    tags: dict[str, int]
    difficulties: dict[str, int]


class LabelConflict(Record):
    """One content that copies carry with different labels."""

    row: int  # position of the first of them
    labels: dict[str, int]  # label → copies, the most first; the first ten
    stay: tuple[str, ...]  # ids of the rows that stay


class LabelConflicts(Record):
    """Contents that copies carry with different labels: how many, their copies with a label, those without a majority;
    and the largest ten."""

    texts: int
    rows: int
    tied: int
    largest: tuple[LabelConflict, ...]


class Values(Record):
    """The values of a run, or in a patch those that an event sets. What no step has set yet is None."""

    # load
    ingested: int = 0
    quarantined: int = 0
    notes: tuple[str, ...] = ()
    shape: str = ""
    text_column: str | None = None
    text_columns: tuple[str | None, ...] = ()
    label_column: str | None = None
    id_column: str | None = None
    source_column: str | None = None
    group_column: str | None = None
    meanings: dict[str, str] = Field(default_factory=dict)  # every column of the input, and what it is taken for
    label_like: tuple[str, int] | None = None  # where no label is named: a column that looks like one, and its values
    # clean, dedup
    conflicts: LabelConflicts | None = None
    near_conflicts: int = 0  # rows that nearly repeat one with another label, and stay
    # filter, hold_out
    profile: str = ""
    thresholds: Thresholds = Field(default_factory=dict)
    cleaned_rows: int = 0
    # quality
    quality: LearnedQuality | None = None
    quality_of: str | None = None  # reference of the vectors that were scored
    # cluster, reduce, score, critique
    clustering: ClusterParams | None = None
    state_key: str | None = None
    maps_of: str | None = None  # reference of the vectors that were drawn
    evidence_of: str | None = None  # names the rows and labels that the evidence is of
    doubtful: int = 0
    alike: int = 0
    critiqued: str | None = None
    granularity: Granularity | None = None
    # baseline, ablate, measure
    probes: tuple[ProbeName, ...] = ()
    probe_budget: int = 0  # bytes that a training of bits_per_byte draws
    objective: Objective | None = None
    ablated: bool = False
    # decide, approve, act
    decision: Decision | None = None
    stop_reason: str | None = None
    converged: bool = False
    answer: str | None = None
    rejected: bool = False
    auto_rounds: int = 0
    trial: Trial | None = None
    offer: bool = False  # the last trial was rolled back, and a person may keep it all the same
    headline: Headline | None = None  # open_sealed
    # train, quantise, label, export
    models: tuple[ModelFigures, ...] = ()
    final_model: FinalModel | None = None
    classifiers: tuple[ClassifierFigures, ...] = ()  # the final one last
    labelled: LabelTally | None = None
    curated_sha256: str | None = None

    @model_serializer(mode="plain")
    def _what_is_set(self) -> dict[str, Any]:
        return {name: to_jsonable_python(getattr(self, name)) for name in sorted(self.model_fields_set)}

    def __eq__(self, other: object) -> bool:
        # A value that is set to its default is set: a patch that takes one back must not be left out of the log.
        return super().__eq__(other) and isinstance(other, Values) and self.model_fields_set == other.model_fields_set

    def patched(self, patch: Values) -> Values:
        """These values with those that ``patch`` sets."""
        return self.model_copy(update={name: getattr(patch, name) for name in patch.model_fields_set})


class StatePatch(Record):
    """What an event changes in the run's state; folding the patches in order gives the state."""

    round: int | None = None
    artefacts: Artefacts = Field(default_factory=dict)
    values: Values = Values()


class RunState(Record):
    """The state of a run: the fold of its events' patches."""

    round: int = 0
    last: str = ""  # the type of the last step that finished
    artefacts: Mapping[Role, str] = Field(default_factory=dict)
    values: Values = Values()

    def after(self, event: Event) -> RunState:
        """The state once ``event`` is folded in; a note (start, resume, error, chat) changes nothing."""
        patch = event.state
        if patch is None:
            return self
        artefacts = {**self.artefacts, **patch.artefacts}
        return RunState.model_construct(
            round=self.round if patch.round is None else patch.round,
            last=event.type,
            artefacts={role: ref for role, ref in artefacts.items() if ref is not None},
            values=self.values.patched(patch.values),
        )


def fold(events: Iterable[Event]) -> RunState:
    """The state that a sequence of events adds up to."""
    state = RunState()
    for event in events:
        state = state.after(event)
    return state
