"""Answers that break off: how the answers of a set end, and which of them end where the others do not.

A text that was cut stops at a random place, one that was finished where texts stop. Both places are learned from the
set itself, so that no list of words of one language is needed: which words stand before a full stop or a line end,
which never do, and which are only the beginnings of words. Of the endings that no mark closes, a mixture of the two
(by expectation maximisation, Dempster, Laird & Rubin 1977) tells how likely each was cut, given how often answers of
its kind to such questions stay unclosed. The measure as a whole is this product's own.
"""

import numpy as np
import polars as pl

from ...text.kinds import is_code
from .folds import FOLDS, group_folds
from .ridge import ridge

_TAIL = 400  # characters at the end of a text that are looked at
_LEARNED = 5_000  # texts from which words are learned,
_READ = 2_000  # and characters of each
_SHORT = 3  # words up to which an answer needs no closing mark

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"(?:[{_UNSPACED}]|[\p{{L}}\p{{M}}\p{{N}}&&[^{_UNSPACED}]](?:['’_-]?[\p{{L}}\p{{M}}\p{{N}}&&[^{_UNSPACED}]])*)"
_STOPS = r".!?…。！？؟।॥։።"
_CLOSERS = r"\"'”’»)\]}>`」』）】*_|;"
_CLOSED = rf"(?:[{_STOPS}{_CLOSERS}]|\p{{So}}\p{{M}}*|[-=+~]{{3,}}\+?|(?:https?://|www\.)\S+)$"
_DANGLING = r"(?:^|\n)[ \t]*(?:(?:\p{N}{1,3}|[IVX]{1,5})[.)]|[-*•–])$"  # the sign of a list's next item, and no item
_ITEM = r"(?:^|\n)[ \t]*(?:(?:\p{N}{1,3}|[IVX]{1,5})[.):]|\p{L}[.)]|[-*•–])[ \t]+[^\n]*$"
_SENTENCES = rf"[\p{{L}}\p{{M}}{_CLOSERS}][{_STOPS}][{_CLOSERS}]*(?:[ \t]+|[{_UNSPACED}])[^\n]*$"  # in the last line
_LISTING = r"(?:^|\n|:[ \t])(?:[^,;、،\n]{1,40}[,;、،][ \t]*){2,}[^,;、،\n]{1,40}$"  # names or values in a row
_LONG = 10  # words from which a last line is a sentence and no phrase

_DOUBT = 3.0  # occurrences by which a word's own rate is drawn to that of all words
_SHARE = 0.02  # of a set's answers that are cut, before anything is known of it,
_PRIOR = 100.0  # and the answers that it weighs as much as
_RARE = 0.01  # share of unclosed answers that is sound wherever they are asked for
_LEAST, _MOST = 0.05, 20.0  # how much one ending may say
_STEPS = 50
_FORM = 0.6  # of the answers that end in lines which begin alike, from which that is the set's form


def broken_off(answers: pl.Series, questions: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """How likely each answer breaks off before its end, as the set's other answers go: float64 [n] in [0, 1].

    0 of answers that a mark, quote, bracket, fence or address closes, of code, of answers of three words and fewer, of
    empty ones, and of those that end in the set's form (a last line that begins as most do: ``#### 72``). A fence that
    is opened and not closed, or the number of a list's next item without the item, is a break in itself.

    Args:
        answers: strings [n], null as empty.
        questions: float32 [n, d], unit vectors of what the answers reply to: a title that is asked for needs no stop.
        groups: uint32 [n]; copies of one another share a number.
    """
    if not len(answers):
        return np.zeros(0)
    text = answers.cast(pl.String).fill_null("").str.strip_chars_end().alias("text")
    table = _looks(text)
    in_form, form = _form(text, table)
    judged = ~in_form & ~table["kind"].is_in(["short", "code"]).to_numpy()
    unclosed = judged & table["unclosed"].to_numpy()
    score = np.zeros(len(text))
    if unclosed.any():
        odds = np.clip(_odds(text, table["ending"].filter(pl.Series(unclosed))), _LEAST, _MOST)
        usual = _usual(table["kind"], unclosed, questions, np.where(judged, group_folds(groups, FOLDS, seed), -1))
        score[unclosed] = np.maximum(_cut(odds, usual[unclosed], int(judged.sum())), form)
    return np.where(table["open"].to_numpy(), 1.0, score)


def _usual(kinds: pl.Series, unclosed: np.ndarray, questions: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """How likely no mark closes an answer of its kind to its question, float64 [n], learned from other folds' rows.

    Ridge regression on the question's vector and the kind. ``fold``: int64 [n], −1 of rows that are no example.
    """
    kind = kinds.to_dummies().to_numpy().astype(np.float32)
    features = np.hstack([np.asarray(questions, dtype=np.float32), kind])
    usual = np.full(len(unclosed), unclosed[fold >= 0].mean())
    for number in range(FOLDS):
        learned, rows = (fold >= 0) & (fold != number), fold == number
        if learned.any() and rows.any():
            usual[rows] = features[rows] @ ridge(features[learned], unclosed[learned].astype(np.float32))
    return usual


def _looks(text: pl.Series) -> pl.DataFrame:
    """What each text (strings [n], no blank at its end) looks like.

    ``kind`` string; ``unclosed`` bool, no mark closes it; ``ending`` string, its last word in lower case (of numbers
    ``0``) or its last mark; ``open`` bool, a fence or a list stands open; ``line`` string, how its last line begins,
    null where it has one line.
    """
    tail = pl.col("text").str.tail(_TAIL)
    last = tail.str.extract(r"([^\n]*)$", 1)
    dangling = tail.str.contains(_DANGLING) & tail.str.contains("\n")
    fenced = pl.col("text").str.count_matches("```")
    kind = (
        pl.when("code").then(pl.lit("code"))
        .when(_words(tail) <= _SHORT).then(pl.lit("short"))
        .when(tail.str.contains(_ITEM)).then(pl.lit("item"))
        .when(tail.str.contains(_LISTING)).then(pl.lit("listing"))
        .when(tail.str.contains(_SENTENCES)).then(pl.lit("paragraph"))
        .when(_words(last) >= _LONG).then(pl.lit("sentence"))
        .when(pl.col("text").str.contains("\n")).then(pl.lit("line"))
        .otherwise(pl.lit("phrase"))
    )  # fmt: skip
    return pl.DataFrame({"text": text, "code": is_code(text)}).select(
        kind=kind,
        unclosed=~tail.str.contains(_CLOSED) & (pl.col("text") != ""),
        ending=_word(pl.coalesce(tail.str.extract(rf"({_WORD})$", 1), tail.str.tail(1))),
        open=(fenced % 2 == 1) | dangling,
        line=tail.str.extract(r"\n[ \t]*(\S+)[^\n]*$", 1).str.replace_all(r"\p{N}+", "0"),
    )


def _words(text: pl.Expr) -> pl.Expr:
    """How many words ``text`` has; two characters of a script without blanks count as one more."""
    return text.str.count_matches(r"\S+") + text.str.count_matches(rf"[{_UNSPACED}]") // 2


def _word(word: pl.Expr) -> pl.Expr:
    """``word`` in lower case, 0 if there is a digit in it."""
    return pl.when(word.str.contains(r"\p{N}")).then(pl.lit("0")).otherwise(word.str.to_lowercase())


def _odds(text: pl.Series, endings: pl.Series) -> np.ndarray:
    """How many times likelier each of ``endings`` is where a text is cut than where it stops.

    Half of the cuts are taken to fall between words, half within one.

    Args:
        text: strings [n], to learn from; ``endings``: strings [m], words in lower case or single marks.

    Returns:
        float64 [m].
    """
    words = _places(text, endings)
    every, stop = float(words["times"].sum()), float(words["stops"].sum())
    rate = (stop + 1) / (every + 1)
    letters = float((words["times"] * (words["word"].str.len_chars() - 1)).sum())  # after which a word can be cut
    asked = pl.DataFrame({"word": endings}).join(words, on="word", how="left", maintain_order="left")
    times, stops = (asked[name].fill_null(0).to_numpy().astype(np.float64) for name in ("times", "stops"))
    own = (stops + _DOUBT * rate) / (times + _DOUBT)  # how often a text stops after this word
    within = (_begun(words, endings) - times) / max(1.0, letters)
    return np.asarray((rate / own + within * (stop + 1) / (np.maximum(1.0, times) * own)) / 2)


def _places(text: pl.Series, endings: pl.Series) -> pl.DataFrame:
    """Every ``word`` of ``text``, sorted, how many ``times`` it stands there, and at how many of them a text ``stops``.

    A text stops at a full stop and at a line end. Marks that stand among ``endings`` are counted as words; at them a
    text never stops.
    """
    learned = text.gather(np.unique(np.linspace(0, len(text) - 1, _LEARNED).astype(np.int64))).str.slice(0, _READ)
    pattern = rf"{_WORD}[{_CLOSERS}]*[{_STOPS}\n]?"
    words = (
        pl.DataFrame({"found": learned.str.extract_all(pattern).explode().drop_nulls()})
        .select(
            word=_word(pl.col("found").str.extract(rf"^({_WORD})", 1)),
            stops=pl.col("found").str.contains(rf"[{_STOPS}\n]$"),
        )
        .group_by("word")
        .agg(times=pl.len().cast(pl.Int64), stops=pl.col("stops").sum().cast(pl.Int64))
    )
    marks = endings.filter(~endings.str.contains(_WORD)).unique().to_list()
    times = [int(learned.str.count_matches(mark, literal=True).sum()) for mark in marks]
    schema = {"word": pl.String, "times": pl.Int64, "stops": pl.Int64}
    others = pl.DataFrame({"word": marks, "times": times, "stops": [0] * len(marks)}, schema=schema)
    return pl.concat([words, others]).sort("word")


def _begun(words: pl.DataFrame, endings: pl.Series) -> np.ndarray:
    """How many words (``word``, sorted, with ``times``) begin with each of ``endings`` (strings [m]): float64 [m]."""
    before = np.concatenate([[0.0], np.cumsum(words["times"].to_numpy(), dtype=np.float64)])
    low = words["word"].search_sorted(endings, side="left").to_numpy()
    high = words["word"].search_sorted(endings + "\U0010ffff", side="right").to_numpy()
    return np.asarray(before[high] - before[low])


def _cut(odds: np.ndarray, usual: np.ndarray, judged: int) -> np.ndarray:
    """The probability that each unclosed answer was cut, float64 [m].

    Args:
        odds: float64 [m], by its ending.
        usual: float64 [m], the share of such answers that no mark closes, those that were cut among them.
        judged: answers among which these are the unclosed ones.
    """
    share = _SHARE
    cut = np.zeros(len(odds))
    for _ in range(_STEPS):
        sound = np.maximum(usual - share, _RARE)
        cut = share * odds / (share * odds + sound)
        share = (cut.sum() + _PRIOR * _SHARE) / (judged + _PRIOR)
    return cut


def _form(text: pl.Series, table: pl.DataFrame) -> tuple[np.ndarray, float]:
    """Which answers end in the set's form, bool [n], and what it says against an answer that does not.

    With a share s of the answers in the form that is s² / (s² + (1 − s)²), and 0 where there is no such form.
    """
    lines = table["line"].filter(text != "")
    counts = lines.value_counts(sort=True).drop_nulls()
    if not counts.height:
        return np.zeros(len(text), dtype=bool), 0.0
    name, times = counts.row(0)
    share = times / len(lines)
    if share < _FORM:
        return np.zeros(len(text), dtype=bool), 0.0
    return (table["line"] == name).fill_null(False).to_numpy(), share**2 / (share**2 + (1 - share) ** 2)
