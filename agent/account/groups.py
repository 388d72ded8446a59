"""Which group each row of the input belongs to, by label, language, source, domain and cluster: from the artefacts."""

from __future__ import annotations

import numpy as np
import polars as pl

from ...state.run import RunState
from ...state.store import Store
from ...tools.judge.labels import by_rules
from ...tools.judge.taxonomy import Taxonomy, taxonomy_of

_ADDRESSES = ("url", "source_url")  # columns whose host names a domain, the first that is there
_LONGEST_NAME = 100
_BATCH = 65_536
# RFC 3986, section 3.2: after the scheme and what stands before an @, up to a port, path, query or fragment.
_HOST = r"^\s*(?:[A-Za-z][A-Za-z0-9+.\-]*:)?(?://)?(?:[^/?#@\s]*@)?([^/:?#@\s]+\.[^/:?#@\s]+)"


def groups(store: Store, prepared: RunState, now: RunState, rows: int) -> dict[str, pl.Series]:
    """The kinds of group that this run knows, each as the name by position: strings [rows], null for none.

    A row's domain is what the keywords of the taxonomy say, where there is one that has keywords; else it is the host
    in a column ``url`` or ``source_url``. The labels that the run gives at its end are not used: only rows that were
    kept have one, and a rate of removal needs both. A row's cluster is the one it stands in at the end; a row that was
    removed has that of the nearest centroid, if it has a vector: the loop's own removals do, and every row where the
    vectors are the user's own.

    Args:
        store: holds the artefacts.
        prepared: the run when the first separation had ended.
        now: the run as it stands.
        rows: how many the input has.
    """
    known = store.frame(prepared.artefacts["rows"], ["label", "source"])
    found = {
        "label": known["label"],
        "language": _languages(store, prepared),
        "source": known["source"],
        "domain": _domains(store, prepared),
        "cluster": _clusters(store, now, rows),
    }
    return {kind: _short(names) for kind, names in found.items() if names is not None and names.null_count() < rows}


def _short(names: pl.Series) -> pl.Series:
    """Names cut where they are longer than a line holds."""
    cut = pl.when(pl.col("name").str.len_chars() > _LONGEST_NAME).then(pl.col("name").str.slice(0, _LONGEST_NAME) + "…")
    return names.alias("name").to_frame().select(cut.otherwise(pl.col("name")))["name"]


def _languages(store: Store, prepared: RunState) -> pl.Series | None:
    if "languages" not in prepared.artefacts:
        return None
    return store.frame(prepared.artefacts["languages"], ["language"])["language"]


def _domains(store: Store, prepared: RunState) -> pl.Series | None:
    if "taxonomy" in prepared.artefacts and "text" in prepared.artefacts:
        taxonomy = taxonomy_of(store.json(prepared.artefacts["taxonomy"]))
        if any(entry.keywords for entry in taxonomy.domains):
            text = store.frame(prepared.artefacts["text"], ["text"])["text"]
            return _by_keywords(text, Taxonomy(taxonomy.domains, (), ()))
    path = store.verified_path(prepared.artefacts["originals"])
    columns = pl.read_parquet_schema(path)
    address = next((name for name in _ADDRESSES if columns.get(name) == pl.String), None)
    if address is None:
        return None
    return pl.read_parquet(path, columns=[address])[address].str.extract(_HOST).str.to_lowercase()


def _by_keywords(text: pl.Series, taxonomy: Taxonomy) -> pl.Series:
    """The domain that the taxonomy's keywords give each text, strings [n], null for none."""
    parts = (by_rules(text.slice(start, _BATCH), taxonomy)["domain"] for start in range(0, len(text), _BATCH))
    return pl.concat(list(parts))


def _clusters(store: Store, now: RunState, rows: int) -> pl.Series | None:
    """The cluster of each row of the input that has a vector, ``noise`` among them: strings [rows]."""
    if not {"labels", "centroids", "pool"} <= now.artefacts.keys():
        return None
    clusters = np.full(rows, -2, dtype=np.int32)  # −1 is noise
    labels = store.frame(now.artefacts["labels"], ["row", "cluster"]).filter(pl.col("row") < rows)
    clusters[labels["row"].to_numpy()] = labels["cluster"].to_numpy()
    if "given_vectors" in now.artefacts:
        vectors, at = store.array(now.artefacts["given_vectors"]), np.arange(rows)
    else:
        vectors, at = store.array(now.artefacts["vectors"]), np.asarray(store.array(now.artefacts["pool"]))
    centroids = np.asarray(store.array(now.artefacts["centroids"]))
    missing = np.flatnonzero((at < rows) & (clusters[np.minimum(at, rows - 1)] == -2))
    for start in range(0, len(missing) if len(centroids) else 0, _BATCH):
        part = missing[start : start + _BATCH]
        clusters[at[part]] = (np.asarray(vectors[part], dtype=np.float32) @ centroids.T).argmax(axis=1)
    number = pl.Series("cluster", clusters)
    named = pl.when(number == -1).then(pl.lit("noise")).when(number >= 0).then(number.cast(pl.String))
    return pl.select(named.alias("cluster"))["cluster"]
