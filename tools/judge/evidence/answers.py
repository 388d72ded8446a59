"""Answers that say nothing about their question: the same text given to many, and refusals."""

import numpy as np
import polars as pl

_FEWEST = 3  # different questions that get an answer before it is looked at
_SHORT = 3  # words up to which an answer is a choice, a number or a name, which may recur
_ALIKE = 0.25  # of the way from unrelated to equal: questions nearer to each other than this are instances of one task

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_REFUSAL = (
    r"(?i)^\W*(?:"
    r"(?:i['’]m|i am|we['’]re|we are) (?:very |really |so )?(?:sorry|afraid|unable|not able)\b"
    r"|sorry,|(?:unfortunately|apologies)\b[^.]{0,40}\b(?:cannot|can['’]t|unable|not able)\b"
    r"|(?:i|we) (?:cannot|can['’]t|can not|could not|won['’]t|will not|am unable|do not have (?:enough|access))\b"
    r"|(?:as|being) an? (?:ai|artificial|(?:large )?language model)\b"
    r"|(?:es tut mir leid|ich kann (?:leider )?nicht|je suis désolé|désolé|lo siento|mi dispiace)\b"
    r"|抱歉|对不起|很抱歉|申し訳)"
)


def refusals(answers: pl.Series) -> pl.Series:
    """Which answers (strings, [n]) open as refusals do, Boolean [n]. To be counted: a refusal can be the right answer.

    English, and the commonest openings of six other languages.
    """
    return answers.cast(pl.String).fill_null("").str.slice(0, 200).str.contains(_REFUSAL)


def boilerplate(questions: pl.Series, answers: pl.Series, vectors: np.ndarray) -> np.ndarray:
    """The share of the set that gives the row's answer to unrelated questions, float64 [n] in [0, 1]; 0 if it is legit.

    Two answers are the same if they are so without case, punctuation and the values of numbers. An answer may
    recur if it is a choice, a number or a name (three words at most), or if the questions that get it are instances of
    one task: their mean cosine lies a quarter of the way or more from that of any two questions of the set to 1.
    What counts is different questions, so that copies of a row are no sign. This product's own finding.

    Args:
        questions: strings [n]; ``answers``: strings [n], null as empty.
        vectors: float32 [n, d], unit vectors of the questions.
    """
    size = len(answers)
    if not size:
        return np.zeros(0)
    table = pl.DataFrame({"answer": _plain(answers), "question": _plain(questions)}).with_row_index("row")
    first = table.unique(["answer", "question"], keep="first", maintain_order=True)
    several = first.filter((pl.len().over("answer") >= _FEWEST) & (_words(pl.col("answer")) > _SHORT))
    found = several.group_by("answer", maintain_order=True).agg("row")
    usual = _mean_cosine(np.asarray(vectors)[first["row"].to_numpy()])
    alike = [_mean_cosine(np.asarray(vectors)[rows.to_numpy()]) for rows in found["row"]]
    told = found.select(
        "answer",
        share=pl.col("row").list.len() / first["question"].n_unique(),
        alike=pl.Series(alike, dtype=pl.Float64),
    ).filter(pl.col("alike") < usual + _ALIKE * (1 - usual))
    joined = table.join(told, on="answer", how="left", maintain_order="left")
    return joined["share"].fill_null(0.0).to_numpy().astype(np.float64)


def _words(text: pl.Expr) -> pl.Expr:
    """How many words ``text`` has; two characters of a script without blanks count as one more."""
    return text.str.count_matches(r"\S+") + text.str.count_matches(_UNSPACED) // 2


def _plain(text: pl.Series) -> pl.Series:
    """The words of each text in lower case, every number as 0, one blank between them."""
    lowered = text.cast(pl.String).fill_null("").str.to_lowercase()
    numbers = lowered.str.replace_all(r"\p{N}+(?:[.,:]\p{N}+)*", "0")
    return numbers.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars(" ").str.replace(r"(?: 0)+$", "")


def _mean_cosine(vectors: np.ndarray) -> float:
    """The mean cosine between two different rows of unit ``vectors`` (float32 [n, d]); 0 of a single one."""
    size = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - size) / (size * (size - 1))) if size > 1 else 0.0
