"""What deduplication finds and what it leaves, held against known answers, and how fast it is beside datasketch."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ..agent.account.summary import peak_memory_mb
from ..state.params.preparation import DedupParams
from ..state.rows import Removal
from ..tools.repeats.corpus import map_strings
from ..tools.repeats.dedup import near_duplicates
from ..tools.repeats.lsh import band_rows
from ..tools.repeats.minhash import SignedRows, signatures
from ..tools.text.clean import exact_duplicates
from .edits import edited, jaccard, newsgroups20, originals
from .table import Cell, Table

ROWS = 199_970  # newsgroups20 ten times over
_COMMAND = "recryst eval dedup --data DATA"
_RANGES = ((0.85, 1.01), (0.80, 0.85), (0.0, 0.80))  # of true similarity
_PARAMS = DedupParams()


def run(data: Path, rows: int) -> list[Table]:
    """Exact copies, planted edits, and speed: a table of each.

    ``rows``: rows of the speed comparison at most; datasketch takes some minutes for all of them.
    """
    return [exact(data), planted(data), speed(data, rows)]


def exact(data: Path) -> Table:
    """The byte-identical copies of newsgroups20 that are found; the data set names the SHA-1 of every text."""
    frame = newsgroups20(data)
    removal = exact_duplicates(frame["text"], np.arange(frame.height, dtype=np.uint32))
    later = ~frame["sha1"].is_first_distinct()
    wrongly = ~later.gather(removal.rows)
    same = frame["sha1"].gather(removal.rows) == frame["sha1"].gather(np.asarray(removal.duplicate_of))
    line = (frame.height, int(later.sum()), len(removal.rows), int(wrongly.sum()), int(same.sum()))
    columns = ("rows", "copies", "removed", "removed wrongly", "removed for a row of the same SHA-1")
    return Table("Exact copies in newsgroups20", columns, (line,), (), _COMMAND)


def planted(data: Path) -> Table:
    """What becomes of edited copies of real texts, by their true Jaccard similarity, at the threshold 0.8."""
    names = ("newsgroups20", "wikitext2")
    lines = tuple(line for name in names for line in planted_in(originals(data, name), name))
    columns = ("texts", "true Jaccard", "pairs", "removed", "share removed", "least Jaccard of a removed row")
    notes = (
        "Words of a copy are replaced, taken out and put in. The similarities are computed apart from the tool, with "
        "sets of word 5-grams; the last column is that of a removed row and the row kept for it. The texts themselves "
        "are no near-duplicates of one another.",
    )
    return Table("Planted near-duplicates, threshold 0.8", columns, lines, notes, _COMMAND)


def planted_in(texts: list[str], name: str) -> list[tuple[Cell, ...]]:
    """The lines of ``planted`` for some texts."""
    repeated = set(_removed(texts).rows.tolist())
    texts = [text for at, text in enumerate(texts) if at not in repeated]
    both = [*texts, *edited(texts, seed=0)]
    likeness = np.array([jaccard(text, copy) for text, copy in zip(texts, both[len(texts) :], strict=True)])
    removal = _removed(both)
    kept = dict(zip(removal.rows.tolist(), np.asarray(removal.duplicate_of).tolist(), strict=True))
    lines: list[tuple[Cell, ...]] = []
    for low, high in _RANGES:
        pairs = np.flatnonzero((likeness >= low) & (likeness < high)) + len(texts)
        removed = [row for row in pairs.tolist() if row in kept]
        least = min((jaccard(both[row], both[kept[row]]) for row in removed), default=None)
        shown = f"{low:.2f} or more" if high > 1 else f"{low:.2f} to {high:.2f}" if low else f"below {high:.2f}"
        lines.append((name, shown, len(pairs), len(removed), len(removed) / max(len(pairs), 1), least))
    return lines


def _removed(texts: list[str]) -> Removal:
    text, params = pl.Series(texts, dtype=pl.String), _PARAMS
    return near_duplicates(_signed(text, params), params)


def _signed(text: pl.Series, params: DedupParams) -> SignedRows:
    return SignedRows(text, np.arange(len(text), dtype=np.uint32), signatures(text, params))


def speed(data: Path, rows: int) -> Table:
    """Signatures, LSH and verification from end to end against a loop over datasketch, each in a process of its own."""
    frame = newsgroups20(data)
    distinct = frame.unique("text", keep="first", maintain_order=True)
    lines = (
        compared("newsgroups20, repeated", frame, min(rows, ROWS)),
        compared("its distinct texts", distinct, min(rows, distinct.height)),
    )
    columns = (
        "texts", "rows", "removed", "same kept set", "datasketch s", "signing s of it (datasketch)", "Recryst s",
        "signing s of it (Recryst)", "times faster", "on one thread", "datasketch peak MB", "Recryst peak MB",
    )  # fmt: skip
    notes = (
        f"{os.cpu_count()} processors; Recryst uses as many threads, the loop one, and `on one thread` is Recryst "
        "with one. Every text is signed and verified, those that repeat another too. The loop: MinHash.update_batch, "
        "MinHashLSH of the same bands, candidates verified by the Jaccard similarity of Python sets. The compiled "
        "kernels are loaded before the clock starts.",
    )
    return Table("Near-duplicates against a datasketch loop", columns, lines, notes, _COMMAND)


def compared(name: str, frame: pl.DataFrame, rows: int) -> tuple[Cell, ...]:
    """The line of ``speed`` for the texts of a frame, repeated to so many rows."""
    with tempfile.TemporaryDirectory(prefix="recryst-eval-") as folder:
        file = Path(folder) / "text.arrow"
        map_strings(repeated(frame.select("text"), rows), ("text",), file)
        ours, alone, theirs = _apart(_ours, file, 0), _apart(_ours, file, 1), _apart(_datasketch, file, 1)
    same = "yes" if ours.removed == theirs.removed == alone.removed else "no"
    seconds = (round(value, 1) for value in (theirs.seconds, theirs.signing, ours.seconds, ours.signing))
    faster = (round(theirs.seconds / one.seconds, 1) for one in (ours, alone))
    return name, rows, len(ours.removed), same, *seconds, *faster, theirs.peak_mb, ours.peak_mb


def repeated(frame: pl.DataFrame, rows: int) -> Iterator[pl.DataFrame]:
    """The frame again and again, to so many rows."""
    for start in range(0, rows, frame.height):
        yield frame.head(rows - start)


@dataclass(frozen=True)
class _Measured:
    removed: list[int]
    seconds: float
    signing: float  # seconds of them that went into signatures
    peak_mb: int


def _apart(work: Callable[[Path, int], _Measured], file: Path, threads: int) -> _Measured:
    """``work`` in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, file, threads).result()


def _ours(file: Path, threads: int) -> _Measured:
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    _removed(["a", "a"])
    text, params = pl.read_ipc(file)["text"], _PARAMS
    begun = time.perf_counter()
    signed = _signed(text, params)
    signing = time.perf_counter() - begun
    removal = near_duplicates(signed, params)
    return _Measured(removal.rows.tolist(), time.perf_counter() - begun, signing, _peak_mb())


def _datasketch(file: Path, threads: int) -> _Measured:
    text, params = pl.read_ipc(file)["text"], _PARAMS
    begun = time.perf_counter()
    removed, signing = datasketch_removed(text, params)
    return _Measured(removed, time.perf_counter() - begun, signing, _peak_mb())


def datasketch_removed(text: pl.Series, params: DedupParams) -> tuple[list[int], float]:
    """The rows that a loop over datasketch removes, in order, and the seconds in it that went into signatures."""
    from datasketch import MinHash, MinHashLSH

    size = band_rows(params.num_perm, params.threshold)
    lsh = MinHashLSH(num_perm=params.num_perm, params=(params.num_perm // size, size))
    empty = MinHash(num_perm=params.num_perm, seed=1)
    kept: dict[int, tuple[MinHash, set[bytes]]] = {}
    removed, signing = [], 0.0
    for row, one in enumerate(text):
        started = time.perf_counter()
        own = shingles(one, params.ngram_size)
        sketch = empty.copy()
        sketch.update_batch(own)
        signing += time.perf_counter() - started
        likeliest = sorted((-sketch.jaccard(kept[other][0]), other) for other in lsh.query(sketch))
        sets = (kept[other][1] for _, other in likeliest)
        if any(len(own & other) / len(own | other) >= params.threshold for other in sets):
            removed.append(row)
        else:
            kept[row] = sketch, own
            lsh.insert(row, sketch, check_duplication=False)
    return removed, signing


def shingles(text: str, size: int) -> set[bytes]:
    """The runs of ``size`` words of a text in lower case, all its words where it has fewer, by plain Python."""
    words = text.lower().split()
    return {" ".join(words[at : at + size]).encode() for at in range(max(len(words) - size + 1, 1))}


def _peak_mb() -> int:
    """The most memory this process had; what the system keeps for it counts its parent's where it was forked."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) >> 10
    return int(peak_memory_mb())
