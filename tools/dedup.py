"""Near-duplicates: MinHash signatures, banded LSH to find candidates, true Jaccard to confirm each.

MinHash: Broder 1997, "On the resemblance and containment of documents". Banding: Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", §3.4. A row's set is its word shingles: runs of ``ngram_size`` lower-cased words.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict

import numpy as np
import polars as pl

from ..state.config import DedupParams
from ..state.progress import Advance, silent
from ..state.rows import Removal
from .registry import Tool

MIN_RECALL = 0.999  # chance that two rows exactly at the threshold meet in a bucket
MAX_REPRESENTATIVES = 64  # kept rows a bucket offers for comparison; boilerplate fills buckets with thousands
MAX_VERIFIED = 64  # candidates of one row, the likeliest first, that are verified
_SEED = 1  # of the permutations: signatures are stored, so it never changes
_BATCH_ROWS = 1024
_BATCH_SHINGLES = 1 << 14  # per update: a signature update holds num_perm hashes for each
_CACHED_SHINGLES = 1 << 20  # about 150 MB of shingle sets


def _shingles(text: str | None, size: int) -> frozenset[str]:
    """The set of ``size``-word runs of a text; all its words as one where there are fewer."""
    words = (text or "").lower().split()
    return frozenset(" ".join(words[at : at + size]) for at in range(max(len(words) - size + 1, 1)))


def signatures(text: pl.Series, params: DedupParams, advance: Advance = silent) -> np.ndarray:
    """MinHash signatures of word shingles (datasketch, scheme ``affine32``).

    Args:
        text: strings, [n]; a null counts as empty.
        params: ``ngram_size`` and ``num_perm``.
        advance: told the rows done.

    Returns:
        uint32 [n, num_perm]; the share of equal places estimates the Jaccard similarity of two rows.
    """
    from datasketch import MinHash

    empty = MinHash(num_perm=params.num_perm, seed=_SEED, scheme="affine32")
    signed = np.empty((len(text), params.num_perm), dtype=np.uint32)
    for start in range(0, len(text), _BATCH_ROWS):
        batch = text.slice(start, _BATCH_ROWS).to_list()
        for at, one in enumerate(batch, start):
            shingles = [shingle.encode() for shingle in _shingles(one, params.ngram_size)]
            sketch = empty.copy()
            for first in range(0, len(shingles), _BATCH_SHINGLES):
                sketch.update_batch(shingles[first : first + _BATCH_SHINGLES])
            signed[at] = sketch.hashvalues
        advance(len(batch))
    return signed


def near_duplicates(
    text: pl.Series,
    rows: np.ndarray,
    signatures: np.ndarray,
    params: DedupParams,
    settled: int = 0,
    advance: Advance = silent,
) -> Removal:
    """Rows whose shingles are, to at least the threshold, those of a row that stays.

    Rows are visited in keep order: the settled ones first, then by position or by length (longest first). A row is
    compared with the *kept* rows it shares an LSH bucket with, so A ~ B ~ C never removes C for its likeness to a
    removed B. Every removal is confirmed by the true Jaccard similarity. The work per row is bounded
    (``MAX_REPRESENTATIVES``, ``MAX_VERIFIED``), so a bucket of thousands costs no more per row than a small one.

    Args:
        text: strings, [n].
        rows: positions, uint32 [n]; ``text[i]`` and ``signatures[i]`` belong to ``rows[i]``.
        signatures: uint32 [n, num_perm], from the function of that name with the same parameters.
        params: ``threshold``, ``ngram_size`` and ``which_to_keep``.
        settled: so many entries at the front stay whatever they resemble.
        advance: told the rows done.

    Returns:
        The rows to remove, with their Jaccard similarity to the kept row that ``duplicate_of`` names.
    """
    buckets, start = _buckets(signatures, params.threshold)
    kept_in: defaultdict[int, list[int]] = defaultdict(list)
    sets = _ShingleSets(text, params.ngram_size)
    found: list[tuple[int, int, float]] = []
    waiting = 0
    for at in _keep_order(text, rows, params, settled):
        waiting += 1
        if waiting == _BATCH_ROWS:
            advance(waiting)
            waiting = 0
        own = buckets[start[at] : start[at + 1]].tolist()
        if at >= settled and own:
            candidates = sorted({other for bucket in own for other in kept_in.get(bucket, ())})
            match = _confirmed(at, np.array(candidates, dtype=np.int64), signatures, sets, params.threshold)
            if match is not None:
                found.append((int(rows[at]), int(rows[match[0]]), match[1]))
                continue
        for bucket in own:
            if len(kept_in[bucket]) < MAX_REPRESENTATIVES:
                kept_in[bucket].append(at)
    advance(waiting)
    found.sort()
    return Removal(
        reason="near_duplicate",
        rows=np.array([row for row, _, _ in found], dtype=np.uint32),
        score=np.array([jaccard for _, _, jaccard in found], dtype=np.float64),
        threshold=params.threshold,
        duplicate_of=np.array([kept for _, kept, _ in found], dtype=np.uint32),
    )


def _keep_order(text: pl.Series, rows: np.ndarray, params: DedupParams, settled: int) -> list[int]:
    """The entries in the order in which they may claim a place: settled, then first or longest; ties by position."""
    later = np.asarray(rows[settled:], dtype=np.int64)
    if params.which_to_keep == "longest":
        length = text[settled:].str.len_chars().fill_null(0).to_numpy().astype(np.int64)
        order = np.lexsort((later, -length))
    else:
        order = np.argsort(later)
    return [*range(settled), *(order + settled).tolist()]


def _band_rows(num_perm: int, threshold: float) -> int:
    """Hashes per band: as many as let two rows at the threshold meet with ``MIN_RECALL``, at least one.

    More hashes per band mean fewer false candidates; two rows of similarity s meet with 1 − (1 − sʳ)ᵇ.
    """
    sizes = range(1, num_perm + 1)
    return max((r for r in sizes if 1 - (1 - threshold**r) ** (num_perm // r) >= MIN_RECALL), default=1)


def _buckets(signatures: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The LSH buckets that each row shares with another: ``(bucket, start)``, row i's at ``start[i]:start[i + 1]``.

    One band at a time; only buckets of two rows or more are kept, so memory follows the collisions, not the bands.
    """
    n, num_perm = signatures.shape
    size = _band_rows(num_perm, threshold)
    members, buckets, used = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], 0
    for first in range(0, num_perm - size + 1, size):
        band = pl.from_numpy(np.ascontiguousarray(signatures[:, first : first + size]), orient="row")
        key = band.with_row_index("row").with_columns(bucket=pl.struct(band.columns).rank("dense"))
        shared = key.filter(pl.col("bucket").is_duplicated())
        members.append(shared["row"].to_numpy().astype(np.int64))
        buckets.append(shared["bucket"].to_numpy().astype(np.int64) + used)
        used += n
    member, bucket = np.concatenate(members), np.concatenate(buckets)
    start = np.concatenate([[0], np.cumsum(np.bincount(member, minlength=n))])
    return bucket[np.argsort(member, kind="stable")], start


class _ShingleSets:
    """Shingle sets by entry, the most recently used ones held, ``_CACHED_SHINGLES`` shingles at most."""

    def __init__(self, text: pl.Series, ngram_size: int) -> None:
        self._text = text
        self._ngram_size = ngram_size
        self._held: OrderedDict[int, frozenset[str]] = OrderedDict()
        self._shingles = 0

    def __getitem__(self, at: int) -> frozenset[str]:
        found = self._held.get(at)
        if found is not None:
            self._held.move_to_end(at)
            return found
        found = self._held[at] = _shingles(self._text[at], self._ngram_size)
        self._shingles += len(found)
        while self._shingles > _CACHED_SHINGLES and len(self._held) > 1:
            self._shingles -= len(self._held.popitem(last=False)[1])
        return found


def _confirmed(
    at: int, candidates: np.ndarray, signatures: np.ndarray, sets: _ShingleSets, threshold: float
) -> tuple[int, float] | None:
    """The first candidate, likeliest first, whose true Jaccard with ``at`` reaches the threshold, and that Jaccard.

    Candidates whose estimate lies more than four standard errors under the threshold are not verified.
    """
    if not len(candidates):
        return None
    estimate = (signatures[candidates] == signatures[at]).mean(axis=1)
    slack = 4 * np.sqrt(threshold * (1 - threshold) / signatures.shape[1])
    likeliest = np.argsort(-estimate, kind="stable")[:MAX_VERIFIED]
    own = sets[at]
    for other in candidates[likeliest[estimate[likeliest] >= threshold - slack]].tolist():
        theirs = sets[other]
        if min(len(own), len(theirs)) / max(len(own), len(theirs)) < threshold:
            continue  # too unlike in size to reach the threshold
        shared = len(own & theirs)
        jaccard = shared / (len(own) + len(theirs) - shared)
        if jaccard >= threshold:
            return other, jaccard
    return None


def _on_table(frame: pl.DataFrame, params: DedupParams, seed: int) -> pl.DataFrame:
    """The frame without the rows whose ``text`` nearly repeats another's."""
    positions = np.arange(frame.height, dtype=np.uint32)
    removal = near_duplicates(frame["text"], positions, signatures(frame["text"], params), params)
    return frame[np.delete(positions, removal.rows)]


TOOL = Tool(
    name="dedup",
    version=1,
    description="Take out rows whose `text` is a near-duplicate of another's (MinHash LSH, verified by true Jaccard).",
    params=DedupParams,
    result=Removal,
    run=near_duplicates,
    on_table=_on_table,
)
