"""The sets that are made crude: five with labels and a clean test split, four of questions and answers without."""

import csv
import gzip
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...tools.docstrings import write_docstrings
from ..data import existing

Labelled = tuple[str, str]  # text, label
Pair = tuple[str, str]  # instruction, output
_POSTING = 1500  # characters of a posting that are read
_TITLE = re.compile(r"= ([^=].*[^=]) =")
_PARAGRAPH = 150  # characters of the least paragraph
_LEAST_ARTICLE, _LEAST_PACKAGE = 28, 60  # rows of a class that is taken
_SUBSET = 3000  # rows of a subset of Alpaca
ALPACA = ("dolly_3k", "claude_t45", "random_9k")  # the `source` of each subset; a row of two stands in the first


@dataclass(frozen=True)
class LabelledSet:
    """Rows to train on, a test split that no run sees, and texts of another domain."""

    name: str
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...]
    foreign: tuple[str, ...]
    rows: int = 4000  # that an experiment draws of it by default


@dataclass(frozen=True)
class PairSet:
    """Questions and their answers, and pairs of another domain."""

    name: str
    pairs: tuple[Pair, ...]
    foreign: tuple[Pair, ...]
    rows: int = 3000


def sound(text: str) -> str:
    """What two texts have in common that say the same word by word: lower case, single spaces."""
    return " ".join(text.casefold().split())


def _distinct(rows: Iterable[tuple[str, str]], beside: Iterable[tuple[str, str]] = ()) -> Iterator[tuple[str, str]]:
    """Rows of which no earlier one, and none of ``beside``, has the same first part; blank ones are left out."""
    seen = {sound(first) for first, _ in beside} | {""}
    for row in rows:
        key = sound(row[0])
        if key not in seen:
            seen.add(key)
            yield row


def _labelled(
    name: str, train: Iterable[Labelled], test: Iterable[Labelled], foreign: Sequence[str], rows: int = 4000
) -> LabelledSet:
    """The set without texts that stand twice, or in both splits."""
    held_out = tuple(_distinct(test))
    return LabelledSet(name, tuple(_distinct(train, held_out)), held_out, tuple(foreign), rows)


def _parted(rows: Sequence[Labelled], test: float) -> tuple[list[Labelled], list[Labelled]]:
    """Train and test rows of a set that comes in one piece: ``test`` is the share held out, always the same rows."""
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    held_out = round(test * len(rows))
    return [rows[at] for at in order[held_out:]], [rows[at] for at in order[:held_out]]


def _large_classes(rows: Iterable[Labelled], least: int) -> list[Labelled]:
    found = list(_distinct(rows))
    sizes = Counter(label for _, label in found)
    return [row for row in found if sizes[row[1]] >= least]


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _gsm8k(data: Path) -> list[Pair]:
    """Problems and solutions (Cobbe et al. 2021)."""
    return [(row["question"], row["answer"]) for row in _lines(existing(data, "gsm8k/train.jsonl.gz"))]


def _alpaca(data: Path, source: str) -> list[Pair]:
    """The pairs of one subset that stand in none before it; an ``input`` is a part of the question."""
    rows = _lines(existing(data, "alpaca/alpaca.jsonl.gz"))
    rank = {name: at for at, name in enumerate(ALPACA)}
    rows = sorted((row for row in rows if row["source"] in rank), key=lambda row: rank[row["source"]])
    first = dict[str, Pair]()
    for row in rows:
        question = "\n\n".join(part for part in (row["instruction"].strip(), row["input"].strip()) if part)
        mine = row["source"] == source and row["output"].strip() != ""
        first.setdefault(sound(question), (question, row["output"].strip()) if mine else ("", ""))
    pairs = [pair for pair in first.values() if pair[0]]
    return [pairs[at] for at in np.random.default_rng(0).permutation(len(pairs))[:_SUBSET].tolist()]


def _banking77_rows(data: Path, split: str) -> list[Labelled]:
    with existing(data, f"banking77/{split}.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]


def banking77(data: Path) -> LabelledSet:
    """Questions to a bank, 77 intents (Casanueva et al. 2020); foreign: arithmetic problems."""
    foreign = [question for question, _ in _gsm8k(data)[:2000]]
    return _labelled("banking77", _banking77_rows(data, "train"), _banking77_rows(data, "test"), foreign)


def clinc(data: Path) -> LabelledSet:
    """Requests to an assistant, 150 intents (Larson et al. 2019); foreign: its requests out of scope."""
    with gzip.open(existing(data, "clinc_oos/data_full.json.gz"), "rt", encoding="utf-8") as file:
        splits = json.load(file)
    train, test = ([(text, label) for text, label in splits[name]] for name in ("train", "test"))
    foreign = [text for part in ("oos_train", "oos_val", "oos_test") for text, _ in splits[part]]
    return _labelled("clinc", train, test, foreign)


def _postings(data: Path) -> Iterator[Labelled]:
    """Postings without their headers, and their groups, in the order of the file: by group."""
    for row in _lines(existing(data, "newsgroups20/newsgroups20.jsonl.gz")):
        _, _, body = row["text"].partition("\n\n")
        if len(body.strip()) > 40:
            yield body.strip()[:_POSTING], row["group"]


def crossposts(data: Path) -> list[tuple[str, str, str]]:
    """Postings whose body stands in more than one group: the body, the first group by name, and the second."""
    groups: dict[str, dict[str, str]] = {}
    for text, group in _postings(data):
        groups.setdefault(sound(text), {}).setdefault(group, text)
    several = [names for names in groups.values() if len(names) > 1]
    return [(names[first], first, other) for names in several for first, other in [sorted(names)[:2]]]


def newsgroups20(data: Path) -> LabelledSet:
    """Postings without their headers, 20 groups (Lang 1995); foreign: instructions with their answers."""
    rows = list(_distinct(_postings(data)))
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    train, test = ([rows[at] for at in part] for part in (order[:4500], order[4500:6000]))
    foreign = [f"{question}\n\n{answer}"[:600] for question, answer in _alpaca(data, "claude_t45")[:2000]]
    return _labelled("newsgroups20", train, test, foreign, rows=3000)


def docstrings(data: Path) -> LabelledSet:
    """The standard library's docstrings, the label is the package; foreign: questions to a bank.

    They are those of the Python that runs, so that figures of two versions of it are not quite the same.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows.jsonl"
        write_docstrings(path)
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = _large_classes([(row["text"], row["module"]) for row in found], _LEAST_PACKAGE)
    foreign = [text for text, _ in _banking77_rows(data, "test")[:2000]]
    return _labelled("docstrings", *_parted(rows, 0.25), foreign)


def wikitext2(data: Path) -> LabelledSet:
    """Paragraphs of encyclopaedia articles (Merity et al. 2016), the label is the article; foreign: postings."""
    rows, title = [], ""
    for part in ("valid", "test"):
        for line in existing(data, f"wikitext2/wikitext2_{part}.txt").read_text(encoding="utf-8").splitlines():
            heading = _TITLE.fullmatch(line.strip())
            title = heading[1] if heading else title
            if not line.strip().startswith("=") and len(line.strip()) >= _PARAGRAPH:
                rows.append((line.strip(), title))
    postings = _lines(existing(data, "newsgroups20/newsgroups20.jsonl.gz"))[::10]
    foreign = [row["text"].partition("\n\n")[2].strip()[:600] for row in postings]
    kept = _large_classes(rows, _LEAST_ARTICLE)
    return _labelled("wikitext2", *_parted(kept, 0.25), [text for text in foreign if text])


def _subset(source: str) -> Callable[[Path], PairSet]:
    def read(data: Path) -> PairSet:
        return PairSet(f"alpaca-{source}", tuple(_alpaca(data, source)), tuple(_gsm8k(data)[:2000]))

    return read


def gsm8k(data: Path) -> PairSet:
    """Arithmetic problems with their solutions; foreign: instructions of Dolly."""
    return PairSet("gsm8k", tuple(_distinct(_gsm8k(data))), tuple(_alpaca(data, "dolly_3k")))


LABELLED: dict[str, Callable[[Path], LabelledSet]] = {
    read.__name__: read for read in (banking77, clinc, newsgroups20, docstrings, wikitext2)
}
PAIRS: dict[str, Callable[[Path], PairSet]] = {
    **{f"alpaca-{source}": _subset(source) for source in ALPACA},
    "gsm8k": gsm8k,
}
NAMES = (*LABELLED, *PAIRS)
