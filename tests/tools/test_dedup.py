import gzip
import random
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.config import CleanParams, DedupParams
from recryst.state.rows import Removal
from recryst.tools.clean import exact_duplicates, normalise
from recryst.tools.dedup import TOOL, near_duplicates, signatures


def shingles(text: str, size: int = 5) -> set[tuple[str, ...]]:
    """The definition again, written otherwise than in the tool."""
    words = tuple(text.lower().split())
    return set(zip(*(words[at:] for at in range(size)), strict=False)) or {words}


def jaccard(one: str, other: str, size: int = 5) -> float:
    a, b = shingles(one, size), shingles(other, size)
    return len(a & b) / len(a | b)


def deduplicate(text: list[str], settled: int = 0, rows: np.ndarray | None = None, **params: object) -> Removal:
    chosen = DedupParams(**params)
    series = pl.Series(text, dtype=pl.String)
    positions = np.arange(len(text), dtype=np.uint32) if rows is None else rows
    return near_duplicates(series, positions, signatures(series, chosen), chosen, settled)


def edited(text: str, edits: int, rng: random.Random) -> str:
    """``text`` with that many words, well apart, replaced by words found nowhere else."""
    words = text.split()
    for place in rng.sample(range(0, len(words) // 6), edits):
        words[place * 6] = f"edit{rng.getrandbits(60):x}"
    return " ".join(words)


def prose(words: int, rng: random.Random) -> str:
    """Words drawn by Zipf's law, as in real text: shingles of common words recur across texts."""
    return " ".join(f"w{min(int(rng.paretovariate(1.0)), 20_000)}" for _ in range(words))


small_words = st.lists(st.sampled_from(["a", "b", "c", "A"]), max_size=9).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(small_words, max_size=25),
    st.integers(0, 8),
    st.sampled_from(["first", "longest"]),
    st.sampled_from([0.5, 0.8, 1.0]),
)
def test_every_removal_is_verified_and_leans_on_a_kept_row(text, settled, which, threshold):
    settled = min(settled, len(text))
    rows = np.arange(len(text), dtype=np.uint32) * 2 + 1
    removal = deduplicate(text, settled, rows, which_to_keep=which, threshold=threshold, ngram_size=2, num_perm=32)
    assert (np.diff(removal.rows.astype(int)) > 0).all()
    assert not np.isin(removal.duplicate_of, removal.rows).any()
    assert not np.isin(removal.rows, rows[:settled]).any()
    for row, kept, score in zip(removal.rows, removal.duplicate_of, removal.score, strict=True):
        one, other = text[row // 2], text[kept // 2]
        assert score == pytest.approx(jaccard(one, other, 2))
        assert score >= threshold
        if kept // 2 >= settled:
            assert kept < row if which == "first" else (len(other), row) >= (len(one), kept)
    # Rows with the same words always meet, so of the rows that stay, only settled ones can say the same.
    left = [" ".join(text[at].lower().split()) for at in range(settled, len(text)) if rows[at] not in removal.rows]
    assert len(left) == len(set(left))
    assert not set(left) & {" ".join(one.lower().split()) for one in text[:settled]}


def test_planted_near_duplicates_are_found_and_lesser_likeness_is_not():
    rng = random.Random(5)
    originals = [prose(300, rng) for _ in range(300)]
    copies = [edited(one, rng.randrange(0, 14), rng) for one in originals]
    likeness = np.array([jaccard(one, copy) for one, copy in zip(originals, copies, strict=True)])
    removal = deduplicate(originals + copies)
    found = np.zeros(300, dtype=bool)
    found[removal.rows - 300] = True
    assert (likeness > 0.85).sum() > 50
    assert (likeness < 0.8).sum() > 50
    assert found[likeness > 0.85].mean() >= 0.95
    assert found[likeness >= 0.8].mean() >= 0.95
    assert not found[likeness < 0.8].any()
    assert (removal.duplicate_of == removal.rows - 300).all()


def test_no_chaining():
    words = [f"w{at}" for at in range(100)]
    chain = [" ".join(words[at : at + 60]) for at in range(0, 40, 4)]  # neighbours 52/60 alike, next but one 48/64
    removal = deduplicate(chain, ngram_size=1, threshold=0.8)
    assert removal.rows.tolist() == [1, 3, 5, 7, 9]
    assert removal.duplicate_of.tolist() == [0, 2, 4, 6, 8]


def test_longest_and_settled_rows_stay():
    text = ["one two three", "one two three four", "one two three four five", "other words here"]
    longest = deduplicate(text, which_to_keep="longest", ngram_size=1, threshold=0.6)
    assert (longest.rows.tolist(), longest.duplicate_of.tolist()) == ([0, 1], [2, 2])
    # Row 7, settled, stands before row 3, brought back: the same text, and the later position wins.
    back = deduplicate(["a b", "A  b", "c d"], settled=1, rows=np.array([7, 3, 5], dtype=np.uint32))
    assert (back.rows.tolist(), back.duplicate_of.tolist(), back.score.tolist()) == ([3], [7], [1.0])


def test_signatures_are_those_of_datasketch_and_reproduce():
    from datasketch import MinHash

    text = "The quick brown fox jumps over the lazy dog"
    sketch = MinHash(num_perm=128, seed=1)
    sketch.update_batch([" ".join(shingle).encode() for shingle in shingles(text)])
    signed = signatures(pl.Series([text, "THE Quick", None]), DedupParams())
    assert signed.dtype == np.uint32
    assert (signed[0] == sketch.hashvalues).all()
    assert (signatures(pl.Series(["the  quick"]), DedupParams()) == signed[1]).all()
    assert (signatures(pl.Series([text]), DedupParams())[0] == signed[0]).all()


def test_a_bucket_of_thousands_does_not_go_quadratic():
    rng = random.Random(2)
    base = [f"b{at}" for at in range(60)]
    # Boilerplate: every row shares 60 % with every other, none is a duplicate; and one row repeated.
    text = [" ".join([*base, *(f"x{row}_{at}" for at in range(20))]) for row in range(3000)]
    text += ["All rights reserved."] * 3000
    rng.shuffle(text)
    started = time.process_time()
    removal = deduplicate(text, ngram_size=1)
    assert time.process_time() - started < 20  # all pairs would take minutes
    assert len(removal.rows) == 2999
    assert len(set(removal.duplicate_of.tolist())) == 1


def test_tool_deduplicates_a_table():
    frame = pl.DataFrame({"text": ["a b c", "d", "A b  c", None], "other": [1, 2, 3, 4]})
    assert TOOL.on_table(frame, DedupParams(), 0)["other"].to_list() == [1, 2, 4]
    assert TOOL.on_table(frame.clear(), DedupParams(), 0).height == 0


@pytest.mark.shared_data
def test_real_posts_as_by_all_pairs(shared_data: Path):
    """On 3,000 posts, what LSH finds is exactly what comparing all pairs finds, at four thresholds."""
    with gzip.open(shared_data / "newsgroups20" / "newsgroups20.jsonl.gz") as file:
        text = normalise(pl.read_ndjson(file.read())["text"][3000:6000], CleanParams())
    positions = np.arange(len(text), dtype=np.uint32)
    text = text.gather(np.delete(positions, exact_duplicates(text, positions).rows))
    rows = np.arange(len(text), dtype=np.uint32)
    holders: dict[tuple[str, ...], list[int]] = {}
    sets = [shingles(one) for one in text]
    likely: set[tuple[int, int]] = set()
    for row, own in enumerate(sets):
        for shingle in own:
            others = holders.setdefault(shingle, [])
            if len(others) < 60:  # likeness of 0.5 never rests on boilerplate alone
                likely.update((other, row) for other in others)
            others.append(row)
    alike = {(a, b): len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in likely}
    signed = signatures(text, DedupParams())
    for threshold in (0.5, 0.6, 0.8, 0.9):
        kept_likes: dict[int, list[int]] = {}
        for (a, b), value in sorted(alike.items()):
            if value >= threshold:
                kept_likes.setdefault(b, []).append(a)
        gone: set[int] = set()
        for row in range(len(text)):
            if any(other not in gone for other in kept_likes.get(row, ())):
                gone.add(row)
        removal = near_duplicates(text, rows, signed, DedupParams(threshold=threshold))
        assert gone
        assert set(removal.rows.tolist()) == gone
