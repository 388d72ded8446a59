"""What each stage of the first separation gained, and what it took from whom: read from a run's log and artefacts.

Rows are charged once, to the stage that the ledger names as it stood when the first separation ended.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from ...state.events import Ablate, HoldOut, StepEvent
from ...tools.judge.labels import by_rules
from ...tools.judge.taxonomy import Taxonomy, taxonomy_of
from ...tools.write.shown import Hit, Stage
from ..steps.measured import shortened
from ..view import View

LOOP = "loop"  # what the actions removed after the first separation, all rounds together
_SELECT = "select"  # what went for the outcome that was asked for
LEAST_ROWS = 20  # of a group that is told apart
MOST_GROUPS = 50  # of a kind; the smaller ones are counted together
FAR = 2.0  # times the average share removed, or the average share kept divided by it
SIGNIFICANCE = 0.001  # over all groups together
_COVERED = 0.5  # of what the rows that came in have of a kind, the removed ones must have
_HELD_OUT = "hold_out"  # an exit that is no removal: the loop cannot take held-out rows
_ADDRESSES = ("url", "source_url")  # columns whose host names a domain, the first that is there
_LONGEST_NAME = 100
_BATCH = 65_536
# RFC 3986, section 3.2: after the scheme and what stands before an @, up to a port, path, query or fragment.
_HOST = r"^\s*(?:[A-Za-z][A-Za-z0-9+.\-]*:)?(?://)?(?:[^/?#@\s]*@)?([^/:?#@\s]+\.[^/:?#@\s]+)"


def _first_separation(view: View) -> tuple[list[StepEvent], View]:
    """The steps before ``hold_out``, and the run as it stood when it had ended; ``view`` itself where it has not."""
    end = next((event.seq for event in view.events if isinstance(event, HoldOut)), None)
    steps: list[StepEvent] = [event for event in view.events[:end] if isinstance(event, StepEvent)]
    return steps, view if end is None else view.at(end + 1)


def stages(view: View) -> tuple[Stage, ...]:
    """What each stage of the first separation did, in order; empty before any row was read.

    Bytes are those of the text as it was read, so that one stage leaves what the next one finds.
    """
    steps, first = _first_separation(view)
    if not first.has("ledger"):
        return ()
    sizes = _text_sizes(first)
    removed = (
        first.ledger()
        .filter(pl.col("status") == "removed")
        .join(sizes, on="row")
        .group_by("event", "reason")
        .agg(pl.len().alias("rows"), pl.col("bytes").sum())
        .sort("event", "rows", "reason", descending=[False, True, False])
    )
    gains = {one.stage: one for event in view.events if isinstance(event, Ablate) for one in event.stages}
    rows, size, table = sizes.height, int(sizes["bytes"].sum()), []
    for step in steps:
        mine = removed.filter(pl.col("event") == step.seq)
        gone, lost = int(mine["rows"].sum()), int(mine["bytes"].sum())
        table.append(
            Stage(
                stage=step.type,
                rows=rows,
                removed=gone,
                reasons=dict(mine.select("reason", "rows").iter_rows()),
                bytes=size,
                bytes_removed=lost,
                seconds=step.seconds,
                refused="; ".join(step.reasons) if step.outcome == "refused" else None,
                gain=gains.get(step.type),
            )
        )
        rows, size = rows - gone, size - lost
    return tuple(table)


def _text_sizes(view: View) -> pl.DataFrame:
    """``row`` and ``bytes`` (uint64) of every text as read; only lengths are held in memory, never the texts."""
    length = pl.col("text").str.len_bytes().fill_null(0).cast(pl.UInt64).alias("bytes")
    return pl.scan_parquet(view.path("rows")).select("row", length).collect(engine="streaming")


def taken(view: View) -> tuple[Hit, ...]:
    """From whom each stage took: rates of removal by label, language, source, domain and cluster.

    One entry for each stage that removed rows, after them ``loop`` and ``select``, and each group of at least
    ``LEAST_ROWS`` rows of the input, at most ``MOST_GROUPS`` of a kind (the largest); the smaller ones are counted
    together. Left out are a kind with a single group, languages in the stage that removes by language, and a kind that
    the rows a stage removed seldom have (clusters, where they were never embedded).

    ``high`` is a group hit far above the average: its rate is at least ``FAR`` times the average, or the share it keeps
    at most the average share divided by ``FAR``; and so many of its rows are gone that drawing as many rows at random
    from all that came in would reach it with a probability below ``SIGNIFICANCE`` divided by the number of groups
    tested (hypergeometric test, one-sided; Bonferroni). The first bound says that the difference matters, the second
    that it is no chance; neither says that it is wrong.
    """
    steps, first = _first_separation(view)
    if not first.has("ledger"):
        return ()
    names, exits = _exits(steps, first, view)
    everyone = _entered_and_removed(np.bincount(exits, minlength=len(names) + 1)[None, :])
    found: list[tuple[Hit, float]] = []
    for kind, members in groups(first, view, len(exits)).items():
        if (table := _tally(members, exits, len(names) + 1)) is not None:
            found += _hits(kind, names, table, everyone)
    tested = sum(hit.group is not None for hit, _ in found)
    called = [hit.model_copy(update={"high": _far(hit) and p < SIGNIFICANCE / tested}) for hit, p in found]
    return tuple(sorted(called, key=lambda hit: names.index(hit.stage)))


def _exits(steps: list[StepEvent], first: View, now: View) -> tuple[list[str], np.ndarray]:
    """The stages in order, and by position the number of the one at which a row left: intp [n]; their number: none."""
    ledger = first.ledger()
    names = [step.type for step in steps] + ([_HELD_OUT, LOOP, _SELECT] if first is not now else [])
    removed = (ledger["status"] == "removed").to_numpy()
    exits = np.full(ledger.height, len(names))
    exits[removed] = np.searchsorted([step.seq for step in steps], ledger["event"].to_numpy()[removed])
    if first is not now:
        exits[first.held_out()] = names.index(_HELD_OUT)
        went = now.ledger().head(ledger.height)
        later = (went["status"] == "removed").to_numpy() & (exits == len(names))
        exits[later] = names.index(LOOP)
        exits[later & (went["stage"] == _SELECT).to_numpy()] = names.index(_SELECT)
    return names, exits


def _entered_and_removed(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that came to each stage and that it removed, int64 [groups, stages], from the rows that left at each stage
    or, in the last column, at none: int64 [groups, stages + 1]."""
    removed = left[:, :-1]
    return left.sum(axis=1, keepdims=True) - np.cumsum(removed, axis=1) + removed, removed


def _tally(members: pl.Series, exits: np.ndarray, width: int) -> tuple[list[tuple[str | None, int]], np.ndarray] | None:
    """The groups told apart, with the groups each stands for, and the rows of each by exit: int64 [groups, width]."""
    tally = pl.DataFrame({"group": members, "exit": exits}).drop_nulls().group_by("group", "exit").len()
    totals = tally.group_by("group").agg(pl.col("len").sum()).sort("len", "group", descending=[True, False])
    if totals.height < 2:
        return None
    shown = totals.filter(pl.col("len") >= LEAST_ROWS).head(MOST_GROUPS).select("group").with_row_index("place")
    placed = tally.join(shown, on="group", how="left").with_columns(pl.col("place").fill_null(shown.height))
    rows = np.zeros((shown.height + 1, width), dtype=np.int64)
    for at, exit, count in placed.group_by("place", "exit").agg(pl.col("len").sum()).iter_rows():
        rows[at, exit] = count
    named: list[tuple[str | None, int]] = [(name, 1) for name in shown["group"]]
    if (others := totals.height - shown.height) == 0:
        return named, rows[:-1]
    return [*named, (None, others)], rows


def _hits(
    kind: str,
    names: list[str],
    table: tuple[list[tuple[str | None, int]], np.ndarray],
    everyone: tuple[np.ndarray, np.ndarray],
) -> Iterator[tuple[Hit, float]]:
    """The entries of one kind, none called out yet, each with the probability of so many removals by chance."""
    from scipy.stats import hypergeom

    named, left = table
    entered, removed = _entered_and_removed(left)
    all_entered, all_removed = (counts[0] for counts in everyone)
    chance = hypergeom.sf(removed - 1, all_entered, all_removed, entered)
    # The share of the removed rows that have a group, against that share of all rows that came in.
    told = removed.sum(axis=0) * all_entered >= _COVERED * entered.sum(axis=0) * all_removed
    for at, stage in enumerate(names):
        if not all_removed[at] or not told[at] or stage in (_HELD_OUT, kind):
            continue
        average = round(float(all_removed[at] / all_entered[at]), 6)
        for group, (name, count) in enumerate(named):
            if rows := int(entered[group, at]):
                gone = int(removed[group, at])
                shares = {"rate": round(gone / rows, 6), "average": average, "high": False}
                hit = Hit(stage=stage, kind=kind, group=name, groups=count, rows=rows, removed=gone, **shares)
                yield hit, float(chance[group, at])


def _far(hit: Hit) -> bool:
    """Whether the difference matters; groups counted together are not called out."""
    far = hit.rate >= FAR * hit.average or 1 - hit.rate <= (1 - hit.average) / FAR
    return hit.group is not None and far


# The group of each row -------------------------------------------------------------------------------------------


def groups(prepared: View, now: View, rows: int) -> dict[str, pl.Series]:
    """The kinds of group that this run knows, each as the name by position: strings [rows], null for none.

    A row's domain is what the keywords of the taxonomy say, where there is one that has keywords; else it is the host
    in a column ``url`` or ``source_url``. The labels that the run gives at its end are not used: only rows that were
    kept have one, and a rate of removal needs both. A row's cluster is the one it stands in at the end; a row that was
    removed has that of the nearest centroid, if it has a vector: the loop's own removals do, and every row where the
    vectors are the user's own.

    Args:
        prepared: the run when the first separation had ended.
        now: the run as it stands.
        rows: how many the input has.
    """
    known = prepared.frame("rows", "label", "source")
    found = {
        "label": known["label"],
        "language": prepared.frame("languages", "language")["language"] if prepared.has("languages") else None,
        "source": known["source"],
        "domain": _domains(prepared),
        "cluster": _clusters(now, rows),
    }
    return {kind: _short(names) for kind, names in found.items() if names is not None and names.null_count() < rows}


def _short(names: pl.Series) -> pl.Series:
    """Names cut where they are longer than a line holds."""
    long = names.str.len_chars() > _LONGEST_NAME
    return names.zip_with(~long.fill_null(False), names.str.slice(0, _LONGEST_NAME) + "…")


def _domains(prepared: View) -> pl.Series | None:
    if prepared.has("taxonomy", "text"):
        taxonomy = taxonomy_of(prepared.json("taxonomy"))
        if any(entry.keywords for entry in taxonomy.domains):
            text, domains = prepared.texts(), Taxonomy(taxonomy.domains, (), ())
            parts = (text.slice(start, _BATCH) for start in range(0, len(text), _BATCH))
            return pl.concat([by_rules(part, domains)["domain"] for part in parts])
    path = prepared.path("originals")
    columns = pl.read_parquet_schema(path)
    address = next((name for name in _ADDRESSES if columns.get(name) == pl.String), None)
    if address is None:
        return None
    return pl.read_parquet(path, columns=[address])[address].str.extract(_HOST).str.to_lowercase()


def _clusters(now: View, rows: int) -> pl.Series | None:
    """The cluster of each row of the input that has a vector, ``noise`` among them: strings [rows]."""
    if not now.has("assignments", "centroids", "pool"):
        return None
    clusters = np.full(rows, -2, dtype=np.int32)  # −1 is noise
    labels = now.frame("assignments", "row", "cluster").filter(pl.col("row") < rows)
    clusters[labels["row"].to_numpy()] = labels["cluster"].to_numpy()
    given = now.has("given_vectors")
    if given:
        vectors, at = now.array("given_vectors"), np.arange(rows)
    else:
        vectors, at = now.array("vectors"), np.asarray(now.array("pool"))
    centroids = np.asarray(now.array("centroids"))
    missing = np.flatnonzero((at < rows) & (clusters[np.minimum(at, rows - 1)] == -2))
    for start in range(0, len(missing) if len(centroids) else 0, _BATCH):
        part = missing[start : start + _BATCH]
        some = np.asarray(vectors[part], dtype=np.float32)
        clusters[at[part]] = ((shortened(now, some) if given else some) @ centroids.T).argmax(axis=1)
    number = pl.Series("cluster", clusters)
    named = pl.when(number == -1).then(pl.lit("noise")).when(number >= 0).then(number.cast(pl.String))
    return pl.select(named.alias("cluster"))["cluster"]
