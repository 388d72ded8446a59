"""Near-duplicates: rows whose word shingles are, to at least a Jaccard threshold, those of a row that stays.

Signatures: ``minhash``. Candidates and their verification: ``lsh``. Rows that stand in a corpus: ``corpus``.
"""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from ...state.errors import UsageError
from ...state.params.preparation import CleanParams, DedupParams
from ...state.phrases import Advance, silent
from ...state.rows import Removal
from ..table_tool import TableTool
from ..text.batches import batches
from ..text.clean import exact_duplicates, normalise
from ..text.filters import bounds, choose_profile, measured, strictness
from .corpus import corpus_duplicates, map_strings, open_corpus, signature_map
from .lsh import matches
from .minhash import BATCH_BYTES, Parts, SignedRows, signatures
from .ngrams import commonness
from .shared import shared_passages, without


def near_duplicates(
    signed: SignedRows,
    params: DedupParams,
    settled: int = 0,
    advance: Advance = silent,
    order: np.ndarray | None = None,
    parts: Parts | None = None,
) -> Removal:
    """Rows that nearly repeat a row that stays.

    Rows are visited in keep order. A row is compared with the *kept* rows it shares an LSH bucket with, so A ~ B ~ C
    never removes C for its likeness to a removed B. Every removal is confirmed by the true Jaccard similarity.

    With ``params.target_rows`` only the likest of these rows go, of equals the later in keep order first, until so many
    rows are left.

    Args:
        signed: n rows, signed with the same parameters.
        settled: so many entries at the front stay whatever they resemble.
        order: entries (int64 [m]) in keep order, the settled ones first; those left out are compared with nothing and
            not counted. None: all, as ``keep_order`` has them.
        parts: what else a pair must have in common; None: of rows of several parts, each part's shingles.

    Returns:
        The rows to remove, with their Jaccard similarity to the kept row that ``duplicate_of`` names.
    """
    text, rows, table = signed.text, signed.rows, (signed.signatures[:0], signed.signatures)
    if order is None:
        order = keep_order(signed, params, settled)
    if parts is None and signed.content is not None:
        parts = Parts(signed.content, params.ngram_size)
    found = list(matches((text, parts), table, order, params, settled, closed=False, advance=advance))
    if params.target_rows is not None:
        found.reverse()
        found.sort(key=lambda match: -match.jaccard)  # stable: of equals the later in keep order stands first
        del found[max(len(order) - params.target_rows, 0) :]
    found.sort(key=lambda match: int(rows[match.entry]))
    gone = rows[[match.entry for match in found]].astype(np.uint32)
    kept = rows[[match.kept for match in found]].astype(np.uint32)
    score = np.array([match.jaccard for match in found], dtype=np.float64)
    return Removal("near_duplicate", gone, score, params.threshold, kept)


def keep_order(
    signed: SignedRows,
    params: DedupParams,
    settled: int = 0,
    quality: np.ndarray | None = None,
    left_out: ArrayLike = (),
) -> np.ndarray:
    """The entries (int64) in the order in which they may claim a place: the settled ones first, then as
    ``which_to_keep`` has it, ties by position.

    Args:
        signed: n rows.
        params: ``which_to_keep``; None is the first.
        settled: so many entries at the front.
        quality: float [n], higher is better; needed where ``which_to_keep`` is ``best_quality``.
        left_out: positions (uint32) of rows that are out already: they are not in the order.

    Raises:
        UsageError: ``best_quality`` without a quality.
    """
    text, rows, which = signed.text, signed.rows, params.which_to_keep or "first"
    if which == "commonest":
        quality = commonness(text)
    elif which == "longest":
        quality = text.str.len_chars().fill_null(0).to_numpy().astype(np.float64)
    elif which == "first":
        quality = np.zeros(len(rows))
    elif quality is None:
        raise UsageError(
            "dedup.which_to_keep is best_quality, and no quality of the rows is known here; use commonest, first or "
            "longest"
        )
    last = np.lexsort((rows[settled:], -quality[settled:])) + settled
    order = np.concatenate([np.arange(settled), last])
    return order[~np.isin(rows[order], left_out)]


def _rule_quality(text: pl.Series) -> np.ndarray:
    """How far each row is from the limits of the quality rules (float [n], higher is better)."""
    rules = bounds(choose_profile(text, "text")[0], {})
    return 1.0 - strictness(measured(text), rules).astype(np.float64)


def compared(content: pl.Series) -> pl.Series:
    """What of rows (strings, [n], as ``Rows.content``) their shingles are made of: all but what many of them share."""
    return without(content, shared_passages(content))


def _removals(rows: pl.DataFrame, params: DedupParams, advance: Advance) -> list[Removal]:
    """All that repeats: exact copies, copies once normalised, rows of the corpus, near-duplicates.

    A null repeats nothing. ``target_rows`` bounds the near-duplicates alone.
    """
    raw = rows["content"]
    positions = np.arange(len(raw), dtype=np.uint32)
    exact = exact_duplicates(raw, positions)
    left = np.setdiff1d(positions[raw.is_not_null().to_numpy()], exact.rows)
    advance(len(raw) - len(left))
    with tempfile.TemporaryDirectory(prefix="recryst-dedup-") as name:
        folder, clean = Path(name), CleanParams()
        given = raw.gather(left).alias("text")
        normal = (normalise(given.slice(*part), clean).to_frame() for part in batches(given, BATCH_BYTES))
        content = map_strings(normal, ("text",), folder / "content.arrow")["text"]
        removals = [exact, exact_duplicates(content, left, "normalised_duplicate")]
        text, shared = content, shared_passages(content)
        if shared:
            varying = (without(content.slice(*part), shared).to_frame() for part in batches(content, BATCH_BYTES))
            text = map_strings(varying, ("text",), folder / "text.arrow")["text"]
        room = signature_map(folder / "text.npy", (len(left), params.num_perm))
        signed = SignedRows(text, left, signatures(text, params, advance, room), content)
        if params.against:
            corpus = open_corpus(params.against, folder, params, clean)
            whole = content
            if corpus.is_plain and not raw.equals(rows["text"]):
                read = rows["text"].gather(left).alias("text")
                normal = (normalise(read.slice(*part), clean).to_frame() for part in batches(read, BATCH_BYTES))
                whole = map_strings(normal, ("text",), folder / "read.arrow")["text"]
            asked = signed if whole is text else SignedRows(whole, left, signatures(whole, params))
            removals.append(corpus_duplicates(asked, corpus, params, left_out=removals[1].rows))
        quality = _rule_quality(rows["text"].gather(left)) if params.which_to_keep == "best_quality" else None
        gone = np.concatenate([removal.rows for removal in removals[1:]])
        order = keep_order(signed, params, quality=quality, left_out=gone)
        removals.append(near_duplicates(signed, params, order=order))
    return removals


TOOL = TableTool("dedup", removals=_removals)
