"""What was judged and chosen: critiques, facts, candidates, decisions, answers, rounds and budgets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from .actions import Action, ChangeK, EditRows, Prune, Thresholds
from .canonical import Json
from .params.preparation import SemanticParams
from .params.vectors import ClusterParams
from .report import Objective, Record

Issue = Literal["mixed", "near_duplicates", "noisy", "low_quality", "too_small", "too_large", "unstable", "none"]
VerdictKind = Literal["keep", "split", "thin", "trim", "drop"]
Outcome = Literal["kept", "rolled_back", "refused", "stopped"]


class Critique(Record):
    """A typed verdict on one cluster; the reasons come before the verdict.

    ``reasons`` are code's words, made of figures. ``theme`` and ``said`` are a language model's, written after reading
    rows: they are for people, and no other model ever sees them.
    """

    cluster: int
    reasons: tuple[str, ...]
    issues: tuple[Issue, ...]
    verdict: VerdictKind
    by: Literal["rules", "model"] = "rules"
    theme: str = ""
    said: tuple[str, ...] = ()
    coherence: int | None = None  # 1 … 5, as the model sees it
    quality: int | None = None  # 1 … 5
    review: bool = False  # a person should look: the model's judgements disagree with each other or with the figures


class Granularity(Record):
    """Answers to "same theme?" on pairs of rows: of neighbouring clusters, and within one."""

    between_asked: int
    between_same: int
    within_asked: int
    within_different: int


class Facts(Record):
    """What candidates are built from besides the report: numbers only, logged with the decision."""

    state_key: str  # names the kept rows and the clustering
    rows_key: str  # names the kept rows
    kept: int
    cleaned: int  # training rows when the loop began
    clustering: ClusterParams  # in force
    filtered: dict[str, int]  # rows each quality rule removed
    refilters: dict[str, Thresholds]  # rule → thresholds that would loosen it
    language_model: bool
    text: bool = True  # False: the rows are vectors, and nothing can be written for them
    granularity: Granularity | None = None
    thresholds: Thresholds = Field(default_factory=dict)  # of the quality rules, over the profile's
    quality_below: float | None = None  # a tenth of the rows scored lower when the score was learned; None: no score
    suspects: dict[str, dict[str, int]] = Field(default_factory=dict)  # evidence → threshold → kept rows past it
    marked: dict[str, int] = Field(default_factory=dict)  # what marks rows → kept rows that it marks
    doubtful: int = 0  # kept rows that score lower and that the quality rules suspect as well
    semantic: SemanticParams = SemanticParams()  # when two rows say the same, and which of them stays
    alike: int = 0  # kept rows that say what another kept row says: those that would go
    synthetic: int = 0  # of the kept rows
    synthesis_room: int = 0  # rows that one action may add without passing their share


class Candidate(Record):
    """A legal, capped action."""

    id: str  # opaque, new in every round
    action: Action
    rows: int  # rows it would remove, or bring back; an upper bound
    reasons: tuple[str, ...]
    evidence: dict[str, float] = Field(default_factory=dict)  # the figures; all that a policy model sees of the reasons
    appraisal: Verdict | None = None  # what it would be worth, where that was measured
    available: bool = True  # False: shown, with the reason, but not to be chosen
    unavailable_because: str = ""


Figure = int | float | str | None


class Look(Record):
    """One call of a tool before a decision: the figures that it gave, or why it was refused."""

    tool: str
    arguments: dict[str, Figure]
    figures: dict[str, Figure] = Field(default_factory=dict)
    refused: str = ""

    def in_words(self) -> str:
        """The call and its result in one line."""
        return f"{self.tool}({_listed(self.arguments)}): {self.refused or _listed(self.figures)}"


def _listed(figures: dict[str, Figure]) -> str:
    """Names and values, in the order of the log; what has no value is left out."""
    there = ((name, value) for name, value in sorted(figures.items()) if value is not None)
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in there)


class Rejected(Record):
    """A candidate that was not chosen, and why."""

    id: str
    action: str  # its kind
    reason: str


class Decision(Record):
    """The choice of one round."""

    candidate: str  # its id
    action: Action
    reasons: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    safe_default: bool = False  # stop, because there was no valid choice


class Budget(Record):
    """What is left when a decision is taken."""

    rounds_left: int
    minutes_left: float | None
    usd_left: float | None = None  # None: no bound
    tokens_left: int | None = None
    held_still: bool  # labels, keep-set and objective did not move for `patience` rounds


class Change(Record):
    """How one figure moved, and the standard error of that: paired, row by row, for a probe."""

    name: str
    gain: float
    error: float


class Verdict(Record):
    """Whether an action paid, why, and what its gain was held against.

    ``needed`` is the greater of what stands out from noise after ``looks`` at the held-out rows, and of ``price``, what
    the rows that it takes are worth.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    changes: tuple[Change, ...]
    gain: float
    needed: float
    price: float
    looks: int


class Appraisal(Record):
    """What an action on rows would be worth: measured on the held-out rows before anything is decided.

    ``rows`` names the rows in force and those left, so that the same question is not put to the held-out rows twice.
    """

    action: str  # the key of the action
    rows: str
    removed: int  # training rows
    verdict: Verdict


class RoundRecord(Record):
    """One finished round, as history for later decisions."""

    round: int
    state_key: str  # names the kept rows and the clustering the action was tried on
    rows_key: str  # names the kept rows alone
    action: Action
    outcome: Outcome
    reasons: tuple[str, ...]
    verdict: Verdict | None  # None where nothing was measured
    kept: int
    k: int
    embedded: int
    before: Objective
    after: Objective | None
    label_agreement: float  # AMI of labels before and after, on the rows kept in both
    keep_agreement: float  # Cohen's κ of the keep-set before and after


class Proposal(Record):
    """What a person is shown before an action: the decision that waits, who made it, and the other candidates."""

    round: int
    state_key: str
    decided: int  # seq of the event that put it forward
    by: Literal["rules", "model", "person", "agent"]
    candidate: Candidate
    reasons: tuple[str, ...]
    alternatives: tuple[Candidate, ...]
    rolled_back: RolledBack | None
    looks: tuple[Look, ...] = ()  # what a language model looked at before it chose


class RolledBack(Record):
    """The last trial that was rolled back, which a person may keep all the same."""

    round: int
    action: Action
    gain: float | None


MOST_ROUNDS = 100  # that one answer approves
MOST_OF_A_NAME = 100  # characters


class RowAnswer(Record):
    """What a person says of one row: it stays with the label it came with, it goes, or it has another label."""

    row: int = Field(ge=0)  # its position
    answer: Literal["keep", "remove", "label"]
    label: str | None = None

    @model_validator(mode="after")
    def _a_label_where_it_is_labelled(self) -> RowAnswer:
        if (self.answer == "label") != bool(self.label):
            raise ValueError("an answer names a label to give it, and for nothing else")
        return self


MOST_OF_A_NOTE = 1000  # characters


class RowNote(Record):
    """What a person notes about a row, for whoever looks at it; it bears on nothing."""

    row: int = Field(ge=0)  # its position
    text: str = Field(max_length=MOST_OF_A_NOTE)  # empty: the note that it takes the place of is withdrawn
    replaces: int | None = None  # the number of the event that wrote the note whose place it takes

    @model_serializer(mode="wrap")
    def _as_logged(self, plain: SerializerFunctionWrapHandler) -> Json:
        """Without what it replaces where that is nothing, as it was before notes could be changed."""
        told: Json = plain(self)
        if self.replaces is None:
            told.pop("replaces", None)
        return told


class Answer(Record):
    """What is answered to a proposal; ``shown_sha`` and ``interrupt_id`` say to which.

    ``review`` says something of one row while the proposal goes on waiting, and ``note`` writes down what bears
    on nothing; ``apply`` puts in force what was said.
    """

    shown_sha: str
    interrupt_id: str = ""  # empty where nobody was asked
    answer: Literal["approve", "reject", "choose", "keep", "undo", "run", "finish", "review", "apply", "note"]
    # `model`: the run's own, in conversation; `agent`: another program's, through MCP. Neither may but `choose`, which
    # proposes and does nothing.
    by: Literal["person", "model", "agent"] = "person"
    candidate: str = ""  # choose: the id of one of the alternatives …
    action: ChangeK | Prune | EditRows | None = Field(None, discriminator="action")  # … or an action of one's own
    rounds: int = Field(1, ge=1, le=MOST_ROUNDS)  # run: how many rounds it approves
    about: RowAnswer | None = None  # review: what is said of which row
    note: RowNote | None = None  # note: what is noted about which row
    who: str = Field("", max_length=MOST_OF_A_NAME)  # the person's name, as they gave it

    @model_serializer(mode="wrap")
    def _as_logged(self, plain: SerializerFunctionWrapHandler) -> Json:
        """Without a note where there is none, as the log of a run from before there were notes has it."""
        told: Json = plain(self)
        if self.note is None:
            told.pop("note", None)
        return told

    @model_validator(mode="after")
    def _nothing_beside_it(self) -> Answer:
        chosen = self.candidate or self.action
        if (chosen and self.answer != "choose") or (self.rounds != 1 and self.answer != "run"):
            raise ValueError("an answer names an action only to choose it, and rounds only to run them")
        if (self.about is not None) != (self.answer == "review"):
            raise ValueError("an answer is about a row where rows are reviewed, and nowhere else")
        if (self.note is not None) != (self.answer == "note"):
            raise ValueError("an answer has a note where one is written, and nowhere else")
        return self
