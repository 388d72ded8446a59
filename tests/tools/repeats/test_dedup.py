import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from frames import framed
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import InputError, UsageError
from recryst.state.params.preparation import CleanParams, DedupParams
from recryst.state.phrases import silent
from recryst.state.rows import Removal
from recryst.tools.repeats.corpus import corpus_duplicates, open_corpus
from recryst.tools.repeats.dedup import TOOL, keep_order, near_duplicates
from recryst.tools.repeats.minhash import SignedRows, signatures
from recryst.tools.text.clean import exact_duplicates, normalise


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
    return near_duplicates(SignedRows(series, positions, signatures(series, chosen)), chosen, settled)


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


def test_the_best_row_stays():
    text = pl.Series(["a b c", "A b c", "a b  c", "d", "a B c"])
    rows = np.array([8, 2, 5, 6, 3], dtype=np.uint32)
    params = DedupParams(which_to_keep="best_quality")
    signed = SignedRows(text, rows, signatures(text, params))
    quality = np.array([0.5, 0.7, 0.9, 0.0, 0.9])
    best = near_duplicates(signed, params, order=keep_order(signed, params, quality=quality))
    assert (best.rows.tolist(), best.duplicate_of.tolist()) == ([2, 5, 8], [3, 3, 3])  # of equals the first position
    unknown = keep_order(signed, params, quality=np.array([np.nan, -1.0, np.nan, 1.0, np.nan]))
    assert unknown.tolist()[:2] == [3, 1]
    with pytest.raises(UsageError, match="best_quality"):
        near_duplicates(signed, params)


def test_rows_left_out_are_compared_with_nothing():
    text, rows = pl.Series(["a b c", "A b c", "a b  c", "d"]), np.array([4, 5, 6, 7], dtype=np.uint32)
    signed = SignedRows(text, rows, signatures(text, DedupParams()))
    order = keep_order(signed, DedupParams(), left_out=np.array([4, 7], dtype=np.uint32))
    removal = near_duplicates(signed, DedupParams(), order=order)
    assert (removal.rows.tolist(), removal.duplicate_of.tolist()) == ([6], [5])


@settings(max_examples=40, deadline=None)
@given(st.lists(small_words, max_size=25), st.integers(1, 26), st.sampled_from(["first", "longest"]))
def test_a_target_takes_the_likest_rows_first(text, target, which):
    chosen: dict[str, Any] = {"threshold": 0.5, "ngram_size": 1, "num_perm": 32, "which_to_keep": which}
    every = deduplicate(text, **chosen)
    some = deduplicate(text, target_rows=target, **chosen)
    assert len(some.rows) == min(len(every.rows), max(len(text) - target, 0))
    evidence = {
        row: (kept, score) for row, kept, score in zip(every.rows, every.duplicate_of, every.score, strict=True)
    }
    for row, kept, score in zip(some.rows, some.duplicate_of, some.score, strict=True):
        assert evidence.pop(row) == (kept, score)
    assert max((score for _, score in evidence.values()), default=0) <= min(some.score, default=1)


def test_maps_and_order_change_nothing(tmp_path):
    rng = random.Random(9)
    originals = [prose(60, rng) for _ in range(200)]
    text = originals + [edited(one, rng.randrange(0, 3), rng) for one in originals]
    rng.shuffle(text)
    removal = deduplicate(text, which_to_keep="commonest")
    positions = np.arange(400, dtype=np.uint32)
    np.save(tmp_path / "signed.npy", signatures(pl.Series(text), DedupParams()))
    signed = np.load(tmp_path / "signed.npy", mmap_mode="r")
    chunked = pl.concat([pl.Series(text[:150]), pl.Series(text[150:])])
    mapped = near_duplicates(SignedRows(chunked, positions, signed), DedupParams(which_to_keep="commonest"))
    assert len(removal.rows) > 100
    assert (mapped.rows.tolist(), mapped.score.tolist()) == (removal.rows.tolist(), removal.score.tolist())
    mixed = np.random.default_rng(0).permutation(400)
    shuffled = deduplicate([text[at] for at in mixed], rows=positions[mixed], which_to_keep="commonest")
    assert shuffled.rows.tolist() == removal.rows.tolist()
    assert shuffled.duplicate_of.tolist() == removal.duplicate_of.tolist()


def corpus_of(folder: Path, **files: list[str | None]) -> list[str]:
    named = []
    for name, texts in files.items():
        path = folder / f"{name}.jsonl"
        path.write_text(
            "".join(json.dumps({"id": f"{name}{at}", "text": text}) + "\n" for at, text in enumerate(texts))
        )
        named.append(str(path))
    return named


def test_rows_of_a_corpus_go_and_name_the_row_there(tmp_path):
    rng = random.Random(4)
    known = [prose(80, rng) for _ in range(40)]
    files = corpus_of(tmp_path, old=[*known[:20], None, "  "], older=known[20:])
    near = " ".join([*known[31].split(), "and", "more"])
    text = pl.Series(["new words", known[7], None, near, near, "New  Words", ""])
    rows = np.array([9, 8, 7, 6, 5, 4, 3], dtype=np.uint32)
    params = DedupParams()
    corpus = open_corpus(files, tmp_path / "maps", params, CleanParams())
    assert len(corpus.text) == 40
    removal = corpus_duplicates(SignedRows(text, rows, signatures(text, params)), corpus, params)
    assert removal.reason == "in_corpus"
    assert removal.rows.tolist() == [5, 6, 8]  # rows of the data that repeat only one another stay
    assert removal.duplicate_of.to_list() == [f"{files[1]}#older11"] * 2 + [f"{files[0]}#old7"]
    assert removal.score.tolist() == pytest.approx([jaccard(near, known[31])] * 2 + [1.0])
    signed = SignedRows(text, rows, signatures(text, params))
    left = corpus_duplicates(signed, corpus, params, left_out=np.array([8, 5], dtype=np.uint32))
    assert left.rows.tolist() == [6]


def test_a_corpus_of_texts_knows_rows_of_several_columns_by_their_text(tmp_path):
    known = "this text of eight words stands in the corpus"
    rows = framed([known, "quite other words"], [f"{known}\n\u241e\nweb", "quite other words\n\u241e\nweb"])
    plain = DedupParams(against=corpus_of(tmp_path, known=[known]))
    assert [one.rows.tolist() for one in TOOL.removals(rows, plain, silent) if one.reason == "in_corpus"] == [[0]]
    (tmp_path / "two.jsonl").write_text(json.dumps({"id": "a", "text": known, "kind": "book"}))
    both = DedupParams(against=(f"{tmp_path}/two.jsonl",))
    assert not any(len(one.rows) for one in TOOL.removals(rows, both, silent)), "another kind is another row"


def test_a_copy_is_found_in_a_corpus_full_of_its_like(tmp_path):
    """Hundreds of rows share their buckets with one that stands last; its copy is found for all that."""
    base = " ".join(f"b{at}" for at in range(60))
    like = [f"{base} {' '.join(f'x{row}_{at}' for at in range(20))}" for row in range(600)]
    params = DedupParams(ngram_size=1)
    corpus = open_corpus(corpus_of(tmp_path, like=like), tmp_path / "maps", params, CleanParams())
    text = pl.Series([like[-1]])
    signed = SignedRows(text, np.zeros(1, dtype=np.uint32), signatures(text, params))
    removal = corpus_duplicates(signed, corpus, params)
    assert removal.duplicate_of.to_list() == [f"{tmp_path}/like.jsonl#like599"]


def test_a_corpus_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none\.jsonl"):
        open_corpus([str(tmp_path / "none.jsonl")], tmp_path, DedupParams(), CleanParams())


def test_the_tool_takes_out_all_that_repeats(tmp_path):
    files = corpus_of(tmp_path, known=["this stands in the corpus"])
    text = ["a b c", "d", "a b c", "a b c ", "A b  c", None, None, "", " ", "THIS stands in the corpus", "d\u200b"]
    told: list[int] = []
    removals = TOOL.removals(framed(text), DedupParams(against=files), told.append)
    assert [(one.reason, one.rows.tolist()) for one in removals] == [
        ("exact_duplicate", [2]),
        ("normalised_duplicate", [3, 8, 10]),
        ("in_corpus", [9]),
        ("near_duplicate", [4]),
    ]
    assert removals[2].duplicate_of.to_list() == [f"{files[0]}#known0"]
    assert [removals[at].duplicate_of.tolist() for at in (0, 1, 3)] == [[0], [0, 7, 1], [0]]
    assert sum(told) == len(text)
    # Two rows may go: the copies go whatever the target, and none is left to go as a near-duplicate.
    aimed = TOOL.removals(framed(text), DedupParams(target_rows=9), told.append)
    assert [len(one.rows) for one in aimed] == [1, 3, 0]
    assert not any(len(one.rows) for one in TOOL.removals(framed([]), DedupParams(), told.append))


def test_the_tool_judges_quality_by_the_rules():
    good = "Go to the shop and buy a loaf of bread for the two of us."
    params = DedupParams(which_to_keep="best_quality", ngram_size=1, threshold=0.9)
    assert TOOL.removals(framed(["Go! " * 40 + good, good]), params, silent)[-1].rows.tolist() == [0]


@pytest.mark.shared_data
def test_real_posts_as_by_all_pairs(shared_data: Path):
    """On 2,000 posts, what LSH finds is exactly what comparing all pairs finds, at four thresholds."""
    with gzip.open(shared_data / "newsgroups20" / "newsgroups20.jsonl.gz") as file:
        text = normalise(pl.read_ndjson(file.read())["text"][3000:5000], CleanParams())
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
    signed = SignedRows(text, rows, signatures(text, DedupParams()))
    for threshold in (0.5, 0.6, 0.8, 0.9):
        kept_likes: dict[int, list[int]] = {}
        for (a, b), value in sorted(alike.items()):
            if value >= threshold:
                kept_likes.setdefault(b, []).append(a)
        gone: set[int] = set()
        for row in range(len(text)):
            if any(other not in gone for other in kept_likes.get(row, ())):
                gone.add(row)
        removal = near_duplicates(signed, DedupParams(threshold=threshold))
        assert gone
        assert set(removal.rows.tolist()) == gone
