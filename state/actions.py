"""What may be done to the data in a round: the kinds of action, each with its parameters, its words and its aims.

An action is validated here, whoever put it together: code, a policy, a person or a language model. ``Action`` is the
union of all kinds, told apart by ``action``; ``key`` names an action with its parameters, the same in every round.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from .canonical import sha256_json
from .params.preparation import WhichToKeep
from .params.vectors import ClusterParams
from .phrases import counted
from .report import Record

Strategy = Literal["drop", "keep_furthest", "keep_closest", "keep_random"]
Thresholds = dict[str, float | None]  # of the quality rules, over the profile's; None switches a rule off

_CLUSTERS_NAMED = 8
_WHICH_STAYS = {
    "first": "the first",
    "longest": "the longest",
    "best_quality": "the best",
    "nearest": "the one closest to the centre",
    "furthest": "the one furthest from the centre",
}


def _each_once(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(numbers)) < len(numbers):
        raise ValueError("names a cluster twice")
    return numbers


Clusters = Annotated[tuple[int, ...], AfterValidator(_each_once)]


class _Kind(Record):
    """What all kinds share: their name, parameters and key, and that they leave clustering and thresholds alone."""

    action: str

    @property
    def params(self) -> dict[str, Any]:
        """The parameters as plain values, for people and for a model; what is not set is left out."""
        values = self.model_dump(mode="json", exclude={"action"})
        return {name: value for name, value in values.items() if value is not None}

    @property
    def key(self) -> str:
        """A short name for the action and its parameters."""
        return sha256_json([self.action, self.params])[:16]

    def in_words(self) -> str:
        """The action as a person reads it. Clusters beyond the first 8 are only counted."""
        return self.action.replace("_", " ")

    def aims(self, clustering: ClusterParams, thresholds: Thresholds) -> tuple[ClusterParams, Thresholds]:
        """The clustering and the thresholds that it tries out, from those in force."""
        return clustering, thresholds


class Prune(_Kind):
    """Take rows out of clusters: all of them, or those that ``strategy`` does not keep."""

    action: Literal["prune"] = "prune"
    clusters: Clusters
    strategy: Strategy
    keep_fraction: float = Field(0.0, ge=0, lt=1)

    def in_words(self) -> str:
        if self.strategy == "drop":
            return f"remove {_named(self.clusters)}"
        how = {"keep_closest": "those closest to the centre", "keep_furthest": "those furthest from the centre"}
        share = f"{100 * self.keep_fraction:.3g}%"
        return f"keep {share} of the rows of {_named(self.clusters)}, {how.get(self.strategy, 'chosen at random')}"


class Deduplicate(_Kind):
    """Of rows that say the same keep one, in whatever cluster they stand."""

    action: Literal["deduplicate"] = "deduplicate"
    cosine: float
    which_to_keep: WhichToKeep
    target_rows: int | None = None

    def in_words(self) -> str:
        stays = _WHICH_STAYS[self.which_to_keep]
        return f"of rows that say the same (cosine {self.cosine:g} or more) keep {stays}{_until(self.target_rows)}"


#: What a row is suspected for, and whether it is by a high or a low value of that evidence.
Suspicion = Literal["label_support", "label_margin", "pair_doubt", "surprise"]
LOW_IF_SUSPECT: frozenset[Suspicion] = frozenset({"label_support", "label_margin"})
_SUSPECTED = {
    "label_support": "whose label the other rows do not bear out",
    "label_margin": "for which another label is likelier",
    "pair_doubt": "whose answer fits other questions better, breaks off, is empty or boilerplate",
    "surprise": "whose text is unlike any other in its characters",
}


class RemoveSuspects(_Kind):
    """Take out rows that the evidence of one kind speaks against, the most suspect first."""

    action: Literal["remove_suspects"] = "remove_suspects"
    by: Suspicion
    threshold: float
    target_rows: int | None = None

    def in_words(self) -> str:
        side = "below" if self.by in LOW_IF_SUSPECT else "from"
        return f"remove rows {_SUSPECTED[self.by]} ({self.by} {side} {self.threshold:g}){_until(self.target_rows)}"


class Relabel(_Kind):
    """Give rows whose label is not borne out the label that both views prefer; those for which they differ go."""

    action: Literal["relabel"] = "relabel"
    threshold: float
    target_rows: int | None = None

    def in_words(self) -> str:
        support = f"label_support below {self.threshold:g}"
        until = _until(self.target_rows)
        return f"relabel rows whose label the other rows do not bear out ({support}), or remove them{until}"


class RemoveMarked(_Kind):
    """Take out the rows that a rule, the language or near-duplication marks."""

    action: Literal["remove_marked"] = "remove_marked"
    mark: str
    target_rows: int | None = None

    def in_words(self) -> str:
        return f"remove rows marked {self.mark}{_until(self.target_rows)}"


class ChangeK(_Kind):
    """Cluster the same rows otherwise."""

    action: Literal["change_k"] = "change_k"
    algorithm: Literal["kmeans", "dbscan", "hdbscan"]
    k: int | None = Field(None, ge=2)
    min_cluster_size: int | None = Field(None, ge=2)

    def in_words(self) -> str:
        values = " ".join(f"{name}={value}" for name, value in self.params.items() if name != "algorithm")
        return f"cluster anew: {self.algorithm} {values}"

    def aims(self, clustering: ClusterParams, thresholds: Thresholds) -> tuple[ClusterParams, Thresholds]:
        """What it does not name is derived from the data."""
        changes = {"k": None, "eps": None, "min_cluster_size": None, **self.params}
        return clustering.model_copy(update=changes), thresholds


class Refilter(_Kind):
    """Judge the rows by other thresholds of the quality rules: some come back, some go."""

    action: Literal["refilter"] = "refilter"
    thresholds: Thresholds

    def in_words(self) -> str:
        limits = ((name, "off" if value is None else f"{value:g}") for name, value in self.thresholds.items())
        return f"filter again with {' '.join('='.join(limit) for limit in limits) or 'the bounds in force'}"

    def aims(self, clustering: ClusterParams, thresholds: Thresholds) -> tuple[ClusterParams, Thresholds]:
        return clustering, self.thresholds


class RefilterByQuality(_Kind):
    """Take out rows that the quality rules suspect and that the quality score puts below ``quality_below``."""

    action: Literal["refilter_by_quality"] = "refilter_by_quality"
    thresholds: Thresholds
    quality_below: float

    def in_words(self) -> str:
        return f"remove rows near a quality rule's limit that score below {self.quality_below:.2f}"


class Synthesise(_Kind):
    """Have new rows written for clusters, ``counts`` for each of ``clusters``."""

    action: Literal["synthesise"] = "synthesise"
    clusters: Clusters
    counts: tuple[int, ...]

    def in_words(self) -> str:
        return f"synthesise {counted(sum(self.counts), 'row')} in {_named(self.clusters)}"


#: What a person does with single rows.
Edit = Literal["restore", "drop", "protect", "label"]
_EDITED: dict[Edit, str] = {
    "restore": "bring back {}",
    "drop": "take out {}",
    "protect": "keep {} from being taken out",
    "label": "give {} the label {!r}",
}
MOST_ROWS = 10_000  # that one action names, because each stands in the log


class EditRows(_Kind):
    """Bring rows back, take them out, keep them from all that would, or give them a label; a person alone says so.

    ``rows``: positions, ascending.
    """

    action: Literal["edit_rows"] = "edit_rows"
    edit: Edit
    rows: tuple[int, ...] = Field(min_length=1, max_length=MOST_ROWS)
    label: str | None = None

    @model_validator(mode="after")
    def _in_order_and_with_a_label_where_it_labels(self) -> Self:
        if self.rows[0] < 0 or any(row >= after for row, after in zip(self.rows, self.rows[1:], strict=False)):
            raise ValueError("names rows by their positions, each once and in order")
        if (self.edit == "label") != bool(self.label):
            raise ValueError("names a label to give it, and for nothing else")
        return self

    @property
    def params(self) -> dict[str, Any]:
        """How many rows; which, and their label, is for the log: a model is told neither."""
        return {"edit": self.edit, "rows": len(self.rows)}

    @property
    def key(self) -> str:
        """As of every action."""
        return sha256_json(self.model_dump(mode="json"))[:16]

    def in_words(self) -> str:
        return _EDITED[self.edit].format(counted(len(self.rows), "row"), self.label)


class Stop(_Kind):
    """End the rounds."""

    action: Literal["stop"] = "stop"

    def in_words(self) -> str:
        return "stop and write the curated data"


_Kinds = (
    Prune | Deduplicate | Refilter | RefilterByQuality | RemoveSuspects | Relabel | RemoveMarked | ChangeK | Synthesise
    | Stop
)  # fmt: skip
Action = Annotated[_Kinds | EditRows, Field(discriminator="action")]
#: Those that code offers and a policy may choose.
ACTION_NAMES: tuple[str, ...] = tuple(kind.model_fields["action"].default for kind in get_args(_Kinds))
#: What a person puts in force against the measurement: no action of a round, but told beside them.
OVERRIDES = {
    "keep": "keep the trial that was rolled back",
    "undo": "take the last change back",
    "apply": "do what was said of single rows",
}


def _until(target_rows: int | None) -> str:
    """Where an action ends before all rows that it is about; nothing where it does not."""
    return "" if target_rows is None else f", until {counted(target_rows, 'row')} are left"


def _named(numbers: Sequence[int]) -> str:
    named, more = ", ".join(map(str, numbers[:_CLUSTERS_NAMED])), len(numbers) - _CLUSTERS_NAMED
    return f"cluster{'' if len(numbers) == 1 else 's'} {named}" + (f" and {more} more" if more > 0 else "")
