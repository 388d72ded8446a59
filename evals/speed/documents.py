"""Texts: near-duplicates beside datasketch and rensa."""

import importlib.util
import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from ...state.params.preparation import DedupParams
from ...tools.repeats.dedup import near_duplicates
from ...tools.repeats.lsh import band_rows
from ...tools.repeats.minhash import SignedRows, signatures
from ..dedup import datasketch_removed, shingles
from .pairs import Line, Measured, Plan, paired, versioned

_WORDS = 50_000
_LENGTHS = (4.7, 0.6)  # of the logarithm of the words of a document: mean, deviation
_COPIES = 0.15  # of the documents are edited copies of an earlier one,
_MOST_EDITS = 6  # of whose words so many are replaced at most
_PART = 10_000  # documents datasketch takes: it needs as long for each of the others
_BATCH = 1000  # documents whose shingles are handed over at once


def documents(rows: int, seed: int) -> pl.Series:
    """Made-up texts, strings [rows]: words by Zipf's law, lengths log-normal, 15 % of them copies with words replaced.

    A replaced word costs a document of 110 words five of its shingles, so that copies lie on both sides of the
    threshold of 0.8.
    """
    random = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(random.choice(letters, size)) for size in random.integers(2, 11, _WORDS)]
    frequency = 1 / np.arange(1, _WORDS + 1)
    lengths = np.maximum(random.lognormal(*_LENGTHS, rows), 10).astype(np.int64)
    cumulated = np.cumsum(frequency / frequency.sum())
    drawn: list[np.ndarray] = []
    for row, length in enumerate(lengths.tolist()):
        if row and random.random() < _COPIES:
            copy = drawn[random.integers(row)].copy()
            copy[random.integers(0, len(copy), random.integers(0, _MOST_EDITS + 1))] = random.integers(_WORDS)
            drawn.append(copy)
        else:
            drawn.append(np.minimum(np.searchsorted(cumulated, random.random(length)), _WORDS - 1))
    return pl.Series([" ".join([words[word] for word in one.tolist()]) for one in drawn], dtype=pl.String)


def minhash(plan: Plan) -> list[Line]:
    """Near-duplicates from signatures to verified removals, beside the two libraries; a missing one leaves a gap."""
    text, params = documents(plan.rows, plan.seed), DedupParams()
    part = text.head(_PART)
    _removed(text.head(2), params)
    scale = len(text) / len(part)
    beside = paired(lambda: _removed(text, params), lambda: datasketch_removed(part, params)[0], plan.repeats, scale)
    first = [row for row in beside.result if row < len(part)]  # a row depends on those before it alone
    same = f"{len(beside.result):,} removed; " + ("same rows" if first == beside.peer else "other rows")
    note = (
        f"seeded texts of {_mean_bytes(text):,.0f} bytes on average, {_COPIES:.0%} of them edited copies; word "
        f"{params.ngram_size}-grams, {params.num_perm} permutations, threshold {params.threshold}. datasketch: "
        f"MinHash.update_batch, MinHashLSH of the same bands and verification by sets, run on the first {len(part):,} "
        "and scaled. rensa: RMinHashDeduplicator of the next smaller bands that it takes, on all documents; it "
        "estimates and does not verify. Its second line takes off the time in which Python makes its shingles."
    )
    lines = [_line(plan, versioned("datasketch"), beside, 10, same, first == beside.peer, note)]
    return [*lines, *_beside_rensa(text, params, plan, note)]


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _mean_bytes(text: pl.Series) -> float:
    return float(text.str.len_bytes().to_numpy().mean())


def _beside_rensa(text: pl.Series, params: DedupParams, plan: Plan, note: str) -> list[Line]:
    name = versioned("rensa")
    if not _installed("rensa"):
        return [_line(plan, name, None, 1, "–", None, note)]
    making: list[float] = []
    beside = paired(lambda: _removed(text, params), lambda: _rensa_removed(text, params, making.append), plan.repeats)
    apart = len(set(beside.result) ^ set(beside.peer)) / len(text)
    differ = f"{len(beside.peer):,} removed; {apart:.2%} of rows differ"
    without = beside.theirs - sorted(making)[len(making) // 2]
    alone = Measured(beside.ours, without, without / beside.ours, beside.result, beside.peer)
    return [
        _line(plan, name, beside, 1, differ, True, note),
        _line(plan, f"{name}, shingles given", alone, 1, differ, True, note),
    ]


def _line(
    plan: Plan,
    peer: str,
    beside: Measured[list[int], list[int]] | None,
    bar: float,
    quality: str,
    good: bool | None,
    note: str,
) -> Line:
    seconds = None if beside is None else (beside.ours, beside.theirs)
    faster = None if beside is None else beside.faster
    return Line("minhash", f"{plan.rows:,} documents", peer, seconds, faster, bar, quality, good, note)


def _removed(text: pl.Series, params: DedupParams) -> list[int]:
    """The rows that go, in order."""
    signed = SignedRows(text, np.arange(len(text), dtype=np.uint32), signatures(text, params))
    removed: list[int] = near_duplicates(signed, params).rows.tolist()
    return removed


def _rensa_removed(text: pl.Series, params: DedupParams, making: Callable[[float], object]) -> list[int]:
    """The rows that rensa takes for repeats of an earlier one; ``making`` is told the seconds spent on shingles."""
    import rensa

    most = band_rows(params.num_perm, params.threshold)
    size = next(size for size in range(most, 0, -1) if params.num_perm % size == 0)  # it takes no other
    deduplicator = rensa.RMinHashDeduplicator(params.threshold, params.num_perm, True, params.num_perm // size, 1)
    new: list[bool] = []
    seconds = 0.0
    for at in range(0, len(text), _BATCH):
        begun = time.perf_counter()
        entries: Sequence[tuple[str, list[bytes]]] = [
            (str(at + place), list(shingles(one, params.ngram_size)))
            for place, one in enumerate(text.slice(at, _BATCH).to_list())
        ]
        seconds += time.perf_counter() - begun
        new += deduplicator.add_pairs(entries)
    making(seconds)
    return [row for row, added in enumerate(new) if not added]
