"""What is shown of a run: the rows of its summary, of the report and of the dataset card."""

import polars as pl
from pydantic import ConfigDict, Field, field_serializer

from ...state.canonical import Json
from ...state.decision import Critique, Rejected
from ...state.events import StageGain
from ...state.report import ClusterEvidence, Headline, Objective, Record, Selected
from ...state.values import BaselineFigures, ClassifierFigures, FinalModel, LabelTally, ModelFigures, SynthesisFigures
from .choices import Choices


class FunnelStep(Record):
    """Rows of the input that left at one stage for one reason; the first of a funnel tells the rows ingested."""

    stage: str
    reason: str
    rows: int


class Stage(Record):
    """What one stage of the first separation did.

    Bytes are those of the text in UTF-8 as it was read, before it was normalised.
    """

    stage: str
    rows: int  # that came in
    removed: int
    reasons: dict[str, int]  # rows by reason
    bytes: int  # of text that came in
    bytes_removed: int
    seconds: float
    refused: str | None  # the sentence, where its cap let nothing go
    gain: StageGain | None  # what it was worth to the probe, with `--ablate`

    @field_serializer("gain")
    def _as_told(self, gain: StageGain | None) -> Json | None:
        return None if gain is None else gain.model_dump(mode="json", exclude_none=True) | {"gain": gain.gain}


class Hit(Record):
    """What one stage took from one group of rows."""

    stage: str
    kind: str  # label, language, source, domain or cluster
    group: str | None  # None: all smaller groups together, `groups` of them
    groups: int
    rows: int  # that came in
    removed: int
    rate: float
    average: float  # the stage's rate over all rows that came in
    high: bool  # far above the average, and not by chance


class Sample(Record):
    """A row that a rule marks; texts of the data are in it as they are."""

    id: str
    excerpt: str
    value: float | None  # what was measured on it
    twin: str | None = None  # the row it nearly repeats


class Mark(Record):
    """What a rule would take out if it were named: it marks these rows, and they stay."""

    stage: str
    rule: str
    rows: int
    of: int  # rows that stayed
    threshold: float | None
    samples: tuple[Sample, ...]  # spread evenly over the rows


class Round(Record):
    """One decided round: a finished experiment, the ``stop`` that had none, or what a person put in force."""

    round: int
    action: str
    params: Json
    words: str = Field(exclude=True)  # the action as a person reads it
    kept: int
    k: int
    embedded: int
    outcome: str
    label_agreement: float = 1.0
    keep_agreement: float = 1.0
    reasons: tuple[str, ...]  # of the decision
    looks: tuple[str, ...] = ()  # what was looked at before it, call by call
    rejected: tuple[Rejected, ...] = ()
    verdict: tuple[str, ...] = ()  # the reasons of the measurement
    noise: dict[str, float] = Field(default_factory=dict)  # figure → what its change was held against
    metrics: Objective  # afterwards
    before: Objective

    @property
    def after(self) -> Objective | None:
        """What the objective became; None where nothing was measured."""
        return self.metrics if self.outcome in ("kept", "rolled_back", "by_person") else None


class Synthesis(SynthesisFigures):
    """What one ``synthesise`` action came to."""

    round: int
    outcome: str


class Spent(Record):
    """What the language model was asked, and what it cost."""

    model: str
    questions: int
    requests: int
    cached: int
    unusable: int
    not_asked: int
    tokens: int
    usd: float | None  # None: the price is not known


class Learned(Record):
    """What a quality score was learned from, how well, and whether it counts."""

    title: str
    used: bool
    figures: dict[str, float | int | str | None]


class RemovedRow(Record):
    """A row that went, as ``removed.COLUMNS`` tells it; long texts are cut."""

    id: str
    text: str | None
    reason: str
    rule: str
    stage: str
    score: float | None
    threshold: float | None
    span: str | None
    twin: str | None
    twin_text: str | None
    survivor: str | None


class ConflictShown(Record):
    """One content that copies carry with different labels."""

    text: str  # how it begins
    labels: dict[str, int]  # label → copies, the most first
    stay: tuple[str, ...]  # ids of the rows that stay


class Conflicts(Record):
    """Contents that copies carry with different labels, ten of them listed, and near-copies of another label."""

    texts: int
    rows: int  # copies of them with a label
    tied: int  # contents without a majority, of which a row for each of the first labels stays
    listed: tuple[ConflictShown, ...]
    near: int  # rows that nearly repeat one with another label, and stay


class LabelChange(Record):
    """Rows that have one label instead of another."""

    was: str | None
    label: str
    rows: int


class Relabelled(Record):
    """Rows in force that were given another label; the commonest changes, the most rows first."""

    rows: int
    kinds: int  # of changes
    listed: tuple[LabelChange, ...]
    column: str  # of the curated set that has the new labels …
    original: str  # … and the one that stays as it was


class InDoubt(Record):
    """A row that the evidence puts in doubt and that stands; texts of the data are in it as they are."""

    id: str
    text: str  # how it begins
    label: str | None  # that it came with
    suggested: str | None  # that it may have instead, or was given
    why: str  # the kind of doubt …
    words: str  # … as a person reads it
    evidence: dict[str, float]
    cluster: int | None = None  # None: it is held out


class InDoubts(Record):
    """The rows in doubt that stand, and those that are listed, the most informative first."""

    rows: int
    by: dict[str, int]  # why → rows
    listed: tuple[InDoubt, ...]
    file: str  # that lists them, below the run directory


class JudgedCluster(Record):
    """A cluster, what the critic says of it, and the text of its medoid."""

    evidence: ClusterEvidence
    critique: Critique
    medoid_text: str


class Training(Record):
    """How the final model was trained."""

    mode: str
    base: str | None  # the name of the folder of the model that was fine-tuned …
    teacher: str | None = None  # … or of the one that a student from scratch learned from
    base_sha256: str | None  # of the weights of either
    base_perplexity: float | None
    chat_rows: int = 0  # spelt by the chat template of that model …
    plain_rows: int = 0  # … and read as plain text beside them
    tokens: int
    epochs: float
    vocabulary: int
    losses: tuple[float, ...]  # nats per token, means over equal stretches
    baseline: BaselineFigures | None  # None: it was not asked for


class Taught(Record):
    """What the classifiers learned from, and what they were asked."""

    labels: int
    rows: int  # that taught them by their label
    asked: int  # held-out rows that have a label
    context: int  # tokens that they read of a row at most
    base_sha256: str | None  # of the weights of the embedded model, which they began from


class Summary(Record):
    """What a run came to; as JSON, what ``--json`` prints."""

    run: str  # its directory
    choices: Choices
    rows: dict[str, int]  # ingested, quarantined, kept, removed, synthetic
    anchor: int
    sealed: int = 0  # rows in force that nothing looked at before the rounds were over
    headline: Headline | None = None  # what the run came to on them; None: none was sealed, or they are sealed still
    unsealed: str | None = None  # why none was
    selected: Selected | None = None  # what was to be ended with; None: nothing was asked for, or it is not over
    removed_by_reason: dict[str, int]
    conflicts: Conflicts | None  # None: there are none
    relabelled: Relabelled | None = None  # None: every row has the label of the input
    review: InDoubts | None = None  # None: nothing is in doubt, or the run has not come to it
    funnel: tuple[FunnelStep, ...]
    stages: tuple[Stage, ...]
    taken: tuple[Hit, ...]
    marked: tuple[Mark, ...] = ()
    rounds: tuple[Round, ...]
    converged: bool
    stop_reason: str | None
    models: tuple[ModelFigures, ...]
    pruned: str | None = None  # what was taken out of the trained model, and what that cost; None: nothing was
    final_model: FinalModel | None = None  # None: there is none, or the run has not come to it
    training: Training | None = None  # None: as for the models
    classifiers: tuple[ClassifierFigures, ...] = ()  # the final one last
    taught: Taught | None = None  # None: there are none
    llm: Spent | None
    synthesis: tuple[Synthesis, ...]
    curated_sha256: str | None
    log_head: str
    seconds: dict[str, float]  # by step, over all rounds and attempts
    peak_memory_mb: float


class ReportData(Summary):
    """What the report and the cards show beside the summary.

    ``maps`` holds the rows to draw: ``row``, ``id``, ``excerpt``, ``cluster`` (int32, −1 noise, null where a
    row has none), ``status``, ``split``, ``stage``, ``reason``, ``label`` and coordinates such as ``umap_2d_x``.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    title: str
    source: str
    run_id: str
    created: str
    seed: int
    code: dict[str, str]  # version, and the commit of a checkout
    runs_on: dict[str, str]
    maps: pl.DataFrame
    clusters: tuple[JudgedCluster, ...]
    notes: tuple[str, ...]
    removed_sample: tuple[RemovedRow, ...] = ()
    quality: tuple[Learned, ...] = ()
    labelled: LabelTally | None = None
