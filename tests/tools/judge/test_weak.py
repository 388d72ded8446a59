"""The classifier that the rules teach: what it labels, how sure it must be, and what it leaves."""

import tracemalloc

import numpy as np
import polars as pl
import pytest

from recryst.tools.judge.labels import by_rules
from recryst.tools.judge.taxonomy import Entry, Taxonomy
from recryst.tools.judge.weak import _Examples, _margin, _weights, by_classifier
from recryst.tools.write.figures import lesson_in_words

NAMES = (
    Entry("sea", "x", ("ship", "harbour", "sail")),
    Entry("drinks", "x", ("tea", "coffee", "juice")),
    Entry("sport", "x", ("ball", "goal", "match")),
)
EACH = 40  # rows of each keyword, and as many of each name without one


def rows(place, entries=NAMES, each=EACH):
    """Texts, unit vectors and true names: rows of each keyword and of a word that is none, ``place`` tells where.

    It gives the vector of a name's number and a keyword's number, which is −1 for the word that is none.
    """
    rng, texts, vectors, truth = np.random.default_rng(0), [], [], []
    for number, entry in enumerate(entries):
        for at, word in [*enumerate(entry.keywords), (-1, "nothing")]:
            texts += [f"about {word}"] * each
            vectors += [place(number, at) + 0.1 * rng.normal(size=16) for _ in range(each)]
            truth += [entry.name] * each
    found = np.array(vectors, dtype=np.float32)
    return pl.Series(texts), found / np.linalg.norm(found, axis=1, keepdims=True), pl.Series(truth)


def learned(text, vectors, entries=NAMES, precision=0.9):
    given = by_rules(text, Taxonomy(entries, (), ()))["domain"]
    labels, lesson = by_classifier(text, vectors, given, entries, precision, seed=0)
    assert (given.is_null() | labels.is_null()).all()  # what the rules gave stands
    return labels, lesson


def peak_of(work):
    """What it gives, and the most bytes that it held at once."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def by_name(number, keyword):
    """Rows of a name lie together, whatever word they hold."""
    return np.eye(16)[number]


def by_keyword(number, keyword):
    """Every keyword lies apart, and so do the rows without one: nothing is common to a name but its words."""
    return np.eye(16)[3 * number + keyword if keyword >= 0 else 9 + number]


def test_rows_without_a_keyword_get_the_name_of_those_that_they_are_like():
    text, vectors, truth = rows(by_name)
    labels, lesson = learned(text, vectors)
    open_rows = text == "about nothing"
    assert labels.is_not_null().sum() == 3 * EACH
    assert (labels == truth).filter(open_rows).all()
    assert (lesson.examples, lesson.judged, lesson.left_out) == (9 * EACH, 9 * EACH, ())
    again, same = learned(text, vectors)
    assert again.equals(labels)
    assert same == lesson


def test_a_row_with_the_keywords_of_two_names_is_left_open():
    text, vectors, _ = rows(by_name)
    several = pl.Series(["about ship and tea", "about nothing at all"])
    labels, lesson = learned(pl.concat([text, several]), np.vstack([vectors, vectors[:2]]))
    assert labels[-2:].to_list() == [None, "sea"]
    assert lesson.examples == 9 * EACH


def test_what_is_only_known_by_its_words_is_not_learned():
    """Rows left out by lot would be named rightly, all of them: their words' other rows teach."""
    labels, lesson = learned(*rows(by_keyword)[:2])
    assert lesson.judged > 0
    assert (lesson.margin, lesson.right) == (None, None)
    assert labels.is_null().all()
    assert "labels nothing: what it is sure of is not as precise as label.precision asks" in lesson_in_words(
        "domain", lesson
    )


def test_between_two_names_it_is_not_sure():
    """Rows lie on the way from their name to another, up to two thirds of it: past a half they look like its own."""
    ways = np.random.default_rng(1).uniform(0, 2 / 3, 12 * EACH)
    way, other = iter(ways), iter(np.random.default_rng(2).integers(1, 3, 12 * EACH))

    def between(number, keyword):
        far = next(way)
        return 3 * ((1 - far) * np.eye(16)[number] + far * np.eye(16)[(number + next(other)) % 3])

    text, vectors, truth = rows(between)
    labels, lesson = learned(text, vectors)
    given = labels.is_not_null().to_numpy()
    open_rows = (text == "about nothing").to_numpy()
    assert given[open_rows & (ways < 0.3)].all()
    assert not given[open_rows & (abs(ways - 0.5) < 0.05)].any()
    assert (labels == truth).filter(given).mean() > 0.9
    assert learned(text, vectors, precision=0.6)[1].margin < lesson.margin


@pytest.mark.parametrize(
    ("entries", "each", "left_out"),
    [
        (NAMES, 5, ("sea", "drinks", "sport")),  # too few rows
        (tuple(Entry(entry.name, "x", entry.keywords[:1]) for entry in NAMES), EACH, ("sea", "drinks", "sport")),
        (
            tuple(Entry(entry.name, "x", (f"{entry.name}s", entry.name)) for entry in NAMES),
            EACH,
            ("sea", "drinks", "sport"),
        ),
        ((*NAMES[:1], *(Entry(entry.name, "x", ()) for entry in NAMES[1:])), EACH, ("drinks", "sport")),
    ],
)
def test_with_too_few_examples_it_labels_nothing_and_says_so(entries, each, left_out):
    text, vectors, _ = rows(by_name, entries, each)
    labels, lesson = learned(text, vectors, entries)
    assert labels.is_null().all()
    assert (lesson.judged, lesson.margin, lesson.left_out) == (0, None, left_out)
    assert "fewer than two names have 2 keywords that stand in 10 rows each" in lesson_in_words("domain", lesson)


def test_a_name_that_one_keyword_tells_is_never_given():
    entries = (*NAMES[:2], Entry("sport", "x", ("ball",)))
    text, vectors, truth = rows(by_name, entries)
    labels, lesson = learned(text, vectors, entries)
    assert lesson.left_out == ("sport",)
    assert set(labels.drop_nulls()) == {"sea", "drinks"}
    assert labels.filter(truth == "sport").is_null().all()  # and others do not get its rows
    assert "it never gives sport" in lesson_in_words("domain", lesson)


@pytest.mark.parametrize(("coffee", "judged"), [(0, 0), (EACH, EACH)])
def test_what_one_name_alone_teaches_is_not_tried(coffee, judged):
    """Without the rows of tea nobody teaches, or those of coffee alone, of whose name it would always be sure."""
    entries = (Entry("sea", "x", ("ship", "harbour")), Entry("drinks", "x", ("tea", "coffee")))
    words = ["ship and harbour"] * EACH + ["tea"] * EACH + ["tea and coffee"] * EACH + ["coffee"] * coffee
    text, number = pl.Series(words), np.array([0] * EACH + [1] * (len(words) - EACH))
    _, lesson = learned(text, np.eye(16, dtype=np.float32)[number], entries)
    assert (lesson.judged, lesson.left_out) == (judged, ())
    said = "labels nothing: it cannot be tried: that takes rows of two names"
    assert (said in lesson_in_words("domain", lesson)) == (judged == 0)


def test_rows_that_lead_alike_are_counted_together():
    """All of them get a label or none, so that it does not matter which come first."""
    lead, right = np.repeat([0.9, 0.5], 100), np.repeat([True, False, True], [60, 40, 100])
    assert _margin(lead, right, 0.9) == _margin(lead, right[::-1], 1.0) == (None, None)
    assert _margin(lead, right, 0.7) == (0.5, 0.8)
    assert _margin(lead, np.sort(right)[::-1], 0.9) == (0.9, 1.0)
    assert _margin(lead[:0], right[:0], 0.9) == (None, None)


def test_rows_that_say_nothing_are_left_open():
    text, vectors, _ = rows(by_name)
    silent = pl.Series(["", " \n", None, "about nothing"])
    labels, _ = learned(pl.concat([text, silent]), np.vstack([vectors, vectors[:4]]))
    assert labels[-4:].to_list() == [None, None, None, "sea"]


def test_what_each_row_counts_is_reckoned_without_a_number_for_each_keyword():
    standing = np.random.default_rng(0).random((50_000, 200), dtype=np.float32) < 0.01
    names = np.arange(50_000) % 2
    examples = _Examples(np.arange(50_000), names, standing, np.arange(200) % 2)
    weights, peak = peak_of(lambda: _weights(examples))
    assert weights[names == 0].sum() == pytest.approx(25_000)  # names count alike
    assert peak < standing.nbytes


def test_the_vectors_of_all_rows_are_not_copied():
    text = pl.Series(["ship", "tea", "ball"] * 100)
    vectors = np.zeros((len(text), 50_000), dtype=np.float32)
    (_, lesson), peak = peak_of(lambda: learned(text, vectors))
    assert (lesson.examples, lesson.judged) == (300, 0)
    assert peak < vectors.nbytes / 10
