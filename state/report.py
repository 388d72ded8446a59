"""What was measured: the cluster report and the objective with its parts."""

from pydantic import BaseModel, ConfigDict


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


class Objective(Record):
    """The objective of one state of the data: its value, its noise and its parts, always shown apart.

    ``probe`` is the mean of ``probe_by_seed``: trainings that differ only in the rows they draw. ``noise_sd`` is the
    standard deviation of ``value`` over those seeds and over re-seeded clusterings, with the data held the same;
    ``clustering_sd`` is the share of the clusterings in it.
    """

    value: float
    noise_sd: float
    clustering_sd: float
    probe_kind: str  # macro_f1 | bits_per_byte
    probe: float  # macro-F1, or bits per byte (lower is better)
    probe_sd: float
    probe_by_seed: tuple[float, ...]
    coverage: float
    balance: float
    redundancy: float
    noise: float
    structure: float | None  # the silhouette times the share of rows in a cluster
    silhouette: float | None  # shown beside it; not in the value
    stability: float | None
