"""The rules critic: a verdict on each cluster from its numbers and documented thresholds, no model needed."""

from statistics import median_high

from ....state.decision import Critique, Issue, VerdictKind
from ....state.params.rounds import CritiqueParams
from ....state.report import ClusterEvidence, ClusterReport

STABLE = 0.75  # bootstrap Jaccard from which a cluster counts as stable (Hennig 2007, §4)
LARGE = 4.0  # times the median size
#: The action each issue calls for, the gravest first.
_CALLS_FOR: dict[Issue, VerdictKind] = {
    "low_quality": "drop",
    "near_duplicates": "thin",
    "noisy": "trim",
    "mixed": "split",
    "too_large": "split",
}


def critique(report: ClusterReport, params: CritiqueParams) -> tuple[Critique, ...]:
    """One critique per cluster of the report, in its order; noise (−1) is judged by quality alone.

    Where a quality score was learned, a cluster is low in quality only if the rules' figure and the score agree.
    """
    scored = [(cluster.quality, cluster.size) for cluster in report.clusters if cluster.quality is not None]
    mean = sum(score * size for score, size in scored) / sum(size for _, size in scored) if scored else None
    median = median_high([cluster.size for cluster in report.clusters if cluster.cluster >= 0] or [0])
    return tuple(_judge(cluster, median, mean, params) for cluster in report.clusters)


def _judge(cluster: ClusterEvidence, median: int, quality: float | None, params: CritiqueParams) -> Critique:
    """``median``: size of a cluster; ``quality``: mean predicted quality of all rows, or None."""
    found: list[tuple[Issue, str]] = []
    if cluster.low_quality >= params.max_low_quality:
        reason = f"{cluster.low_quality:.0%} of its rows are close to a quality rule's limit"
        if quality is None or cluster.quality is None:
            found.append(("low_quality", reason))
        elif cluster.quality < quality:
            found.append(
                ("low_quality", f"{reason}, and its mean score is {cluster.quality:.2f}, all rows' {quality:.2f}")
            )
    if cluster.cluster >= 0:
        if cluster.near_duplicates >= params.max_near_duplicates:
            found.append(("near_duplicates", f"{cluster.near_duplicates:.0%} of its rows nearly repeat another row"))
        if cluster.outliers >= params.max_outliers:
            found.append(("noisy", f"{cluster.outliers:.0%} of its rows have no close neighbours"))
        if cluster.silhouette is not None and cluster.silhouette < params.min_silhouette:
            found.append(("mixed", f"mean silhouette {cluster.silhouette:.3f}"))
        elif cluster.cohesion < params.min_cohesion:
            found.append(("mixed", f"mean cosine to the centroid {cluster.cohesion:.3f}"))
        if cluster.stability is not None and cluster.stability < STABLE / 2:
            found.append(("unstable", f"bootstrap Jaccard {cluster.stability:.2f}"))
        if median and cluster.size > LARGE * median:
            found.append(("too_large", f"{cluster.size:,} rows, the median cluster has {median:,}"))
        if median and cluster.size < median / (2 * LARGE):
            found.append(("too_small", f"{cluster.size:,} rows, the median cluster has {median:,}"))
    issues = tuple(issue for issue, _ in found)
    return Critique(
        cluster=cluster.cluster,
        reasons=tuple(reason for _, reason in found) or ("nothing stands out",),
        issues=issues or ("none",),
        verdict=next((verdict for issue, verdict in _CALLS_FOR.items() if issue in issues), "keep"),
    )
