"""What was measured: the cluster report and the objective with its parts."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .params.selection import LoopStrategy


class Record(BaseModel):
    """A frozen record, JSON-native, that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClusterEvidence(Record):
    """One cluster in numbers. Rows are positions; text never stands here. Shares are in [0, 1]."""

    cluster: int  # −1 is noise
    size: int
    cohesion: float  # mean cosine of its rows to its centroid
    silhouette: float | None  # mean over a sample of its rows; None for noise
    nearest_cluster: int | None
    separation: float | None  # cosine distance to the nearest other centroid
    near_duplicates: float  # share of rows with a kept neighbour above the duplicate cosine
    outliers: float  # share of sparse rows
    low_quality: float  # share of rows close to a quality rule's limit
    quality: float | None = None  # mean predicted quality of its rows, 0 … 5; None where none was learned
    stability: float | None  # mean bootstrap Jaccard (Hennig 2007); ≥ 0.75 is stable
    terms: tuple[str, ...]  # class-based TF-IDF
    medoid: int
    boundary: tuple[int, ...]
    random: tuple[int, ...]


class ClusterReport(Record):
    """All clusters of one round and the metrics of the clustering as a whole."""

    round: int
    algorithm: str
    k: int  # clusters, noise not counted
    rows: int
    noise: int  # rows in cluster −1
    silhouette: float | None
    davies_bouldin: float | None
    calinski_harabasz: float | None
    dbcv: float | None
    stability: float | None  # mean over clusters of the bootstrap Jaccard
    overlap_2d: float | None  # share of rows whose nearest neighbours on the map are of another cluster
    overlap_3d: float | None
    clusters: tuple[ClusterEvidence, ...]


ProbeName = Literal["nearest_neighbor", "linear_discriminant", "nearest_answer", "bits_per_byte"]


class Probe(Record):
    """What a small model, trained on the kept rows, makes of the held-out ones: from 0 to 1, higher is better.

    The held-out rows come from the crude set and are crude themselves. ``score`` is over those that the training rows
    bore out at the start; ``raw`` is over all of them, where there are labels class by class.
    """

    name: ProbeName
    score: float
    raw: float


class Moved(Record):
    """A mean score before and after, and the paired difference with its standard error and 95 % interval."""

    before: float
    after: float
    difference: float
    error: float
    low: float
    high: float

    @property
    def sense(self) -> Literal["better", "worse", "unsure"]:
        """What the interval says; ``unsure`` where it holds 0."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "unsure"


class ProbeMoved(Record):
    """One probe, before and after."""

    name: ProbeName
    moved: Moved


class Headline(Record):
    """What a run came to on the sealed rows: the mean of the probes, trained on the rows before and after the rounds.

    ``score`` is over the rows that the training rows bore out at the start, each group alike; ``raw`` over all of them,
    where there are labels class by class. None: no probe says anything of such rows.
    """

    rows: int  # that were sealed
    confirmed: int  # of them that count in ``score``
    groups: int  # of the confirmed ones
    score: Moved | None
    raw: Moved | None
    probes: tuple[ProbeMoved, ...]  # over the confirmed rows


class Objective(Record):
    """What a state of the data is worth, and how good its clustering is: two scales that are never added up.

    ``value`` is the mean score of the probes: an action on rows has to raise it. ``clustering`` is the weighted sum of
    structure, balance and stability: another clustering has to raise that, by more than ``clustering_sd``, its standard
    deviation over re-seeded likes (that of the clustering before it, where no spread of its own could let it pass and
    none was measured). Coverage guards; redundancy and noise are shown and have no vote, for an action
    sets them by what it is.
    """

    value: float
    probes: tuple[Probe, ...]
    coverage: float
    clustering: float
    clustering_sd: float
    structure: float | None  # the silhouette times the share of rows in a cluster
    balance: float
    stability: float | None
    silhouette: float | None
    redundancy: float
    noise: float


#: By what is known of the rows, by lot, or by a strategy of the literature.
SelectionName = Literal["suspicion", "representative", "endorsed", "random", LoopStrategy]


class Selection(Record):
    """A choice of the rows that stay, and the mean of the probes on the confirmed rows of the anchor.

    ``gain`` is that over the random choice of the same size, paired row by row, and ``error`` its standard error; None
    for the random one itself.
    """

    name: SelectionName
    rows: int
    score: float
    gain: float | None = None
    error: float | None = None
    taken: bool = False


class Selected(Record):
    """What a user wanted to end with, and what the run ended with.

    ``keep`` training rows at most; of them at most the share ``target_noise`` in doubt: past the weakest limit of the
    evidence as it was last gathered. ``in_doubt`` is None where there is no evidence. ``score``: of all rows before.
    """

    keep: int | None
    target_noise: float | None
    before: int  # training rows
    after: int
    in_doubt_before: int | None
    in_doubt: int | None
    score: float
    selections: tuple[Selection, ...]  # empty where no row had to go

    @property
    def reached(self) -> bool:
        """Whether the run ended with what was wanted."""
        few = self.keep is None or self.after <= self.keep
        if self.target_noise is None:
            return few
        return few and self.in_doubt is not None and self.in_doubt <= self.target_noise * self.after + 1e-9
