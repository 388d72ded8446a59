"""Faults planted in clean sets by a seed, at known rates; what is true stays in a table of its own."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ...state.store import write_whole
from ...tools.noise import answer_boilerplate, broken_off, edited, gibberish, page_boilerplate
from .sets import LabelledSet, PairSet, sound

SEVERITIES = {"mild": 0.4, "middle": 1.0, "harsh": 1.8}
CLEAN = "none"  # the severity of a set without faults
# Per row of the clean set, at middle severity.
LABELLED_RATES = {"flip": 0.12, "exact": 0.10, "edited": 0.10, "off-topic": 0.10, "gibberish": 0.04,
                  "boilerplate": 0.04}  # fmt: skip
PAIR_RATES = {"swapped": 0.08, "broken off": 0.06, "gibberish": 0.03, "boilerplate": 0.04, "empty": 0.02,
              "off-topic": 0.05, "exact": 0.08, "edited": 0.08}  # fmt: skip
FLIPS = UNIFORM, CONFUSABLE = ("uniform", "confusable")  # which class a wrong label names: any, or the nearest
COPIES = ("exact", "edited")
TAIL = 0.12  # the share that the smallest class keeps of its rows, the largest keeping all
LEAST_CLASS = 8  # rows

SIDE_SCHEMA = {"id": pl.String, "fault": pl.String, "truth": pl.String, "origin": pl.String}


@dataclass(frozen=True)
class Crude:
    """A set with its faults.

    ``rows``: what a run reads: id, and text and label, or instruction and output. ``side``, in the same order: id,
    fault ("" where there is none), truth (the right label, or the answer that belongs to the question; null where no
    label is right), origin (the id of the row that a copy repeats; else the row's own).
    """

    rows: pl.DataFrame
    side: pl.DataFrame

    def write(self, folder: Path) -> Path:
        """The file that a run reads, below ``folder``; the side table lies beside it, in another file."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "side.jsonl", self.side.write_ndjson())
        write_whole(folder / "rows.jsonl", self.rows.write_ndjson())
        return folder / "rows.jsonl"


@dataclass
class _Row:
    """``origin``: where the row that it repeats stands among the rows before they are mixed; −1: it is its own."""

    first: str
    second: str
    truth: str | None
    fault: str = ""
    origin: int = -1


def labelled(
    clean: LabelledSet, severity: str, seed: int, rows: int, nearest: Mapping[str, str] | None = None
) -> Crude:
    """A labelled set with a long tail of classes, and faults but for the severity ``none``.

    Wrong labels first, then copies of any row, wrong label included; rows of another domain, gibberish and boilerplate
    carry random labels.

    Args:
        rows: how many rows of the clean set at most; planted ones come on top.
        nearest: for each label the one that a wrong label names; None: any other.
    """
    random = np.random.default_rng(seed)
    table = [_Row(text, label, label) for text, label in long_tail(clean.train, rows, random)]
    labels, counts = sorted({row.second for row in table}), _counts(LABELLED_RATES, severity, len(table))
    for at in random.choice(len(table), counts["flip"], replace=False).tolist():
        others = [label for label in labels if label != table[at].truth]
        wrong = nearest[table[at].second] if nearest else others[int(random.integers(len(others)))]
        table[at].second, table[at].fault = wrong, "flip"
    copies = _copies(table, counts, random)
    chosen = random.choice(len(clean.foreign), counts["off-topic"], replace=counts["off-topic"] > len(clean.foreign))
    junk = [("off-topic", clean.foreign[at]) for at in chosen.tolist()]
    junk += [("gibberish", gibberish(random)) for _ in range(counts["gibberish"])]
    junk += [("boilerplate", page_boilerplate(random)) for _ in range(counts["boilerplate"])]
    table += copies
    table += [_Row(text, labels[int(random.integers(len(labels)))], None, fault) for fault, text in junk]
    return _mixed(table, ("text", "label"), random)


def long_tail(train: Sequence[tuple[str, str]], rows: int, random: np.random.Generator) -> list[tuple[str, str]]:
    """Rows of a set whose classes shrink geometrically, in random order: at most ``rows``, of each class at least 8.

    Where a class has fewer it gives all; where ``rows`` has no room for 8 of each, each has its equal part.
    """
    by_class: dict[str, list[str]] = {}
    for at in random.permutation(len(train)).tolist():
        by_class.setdefault(train[at][1], []).append(train[at][0])
    order = [sorted(by_class)[at] for at in random.permutation(len(by_class)).tolist()]
    share = {label: TAIL ** (rank / max(1, len(order) - 1)) for rank, label in enumerate(order)}
    least = min(LEAST_CLASS, max(1, rows // len(order)))

    def sizes(scale: float) -> dict[str, int]:
        return {
            label: min(len(by_class[label]), max(least, round(scale * share[label] * len(by_class[label]))))
            for label in order
        }

    low, high = 0.0, 1.0
    if sum(sizes(high).values()) > rows:
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if sum(sizes(middle).values()) > rows else (middle, high)
        high = low
    taken = [(text, label) for label, size in sizes(high).items() for text in by_class[label][:size]]
    return [taken[at] for at in random.permutation(len(taken)).tolist()]


def pairs(clean: PairSet, severity: str, seed: int, rows: int) -> Crude:
    """A set of questions and answers, with faults but for the severity ``none``.

    No row has two of the faults that spoil an answer. Copies repeat any row, a spoilt one included.

    Args:
        rows: how many pairs of the clean set at most; those of another domain and copies come on top.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(clean.pairs))[:rows].tolist()
    table = [_Row(question, answer, answer) for question, answer in (clean.pairs[at] for at in order)]
    counts = _counts(PAIR_RATES, severity, len(table))
    _spoil_answers(table, counts, random)
    copies = _copies(table, counts, random, paired=True)
    chosen = random.choice(len(clean.foreign), counts["off-topic"], replace=False).tolist()
    table += copies
    table += [_Row(question, answer, None, "off-topic") for question, answer in (clean.foreign[at] for at in chosen)]
    return _mixed(table, ("instruction", "output"), random)


def _spoil_answers(table: list[_Row], counts: Mapping[str, int], random: np.random.Generator) -> None:
    """Break off, replace, empty and swap answers of rows that are drawn without replacement."""
    drawn = random.permutation(len(table)).tolist()
    cut = {at: head for at in drawn if (head := broken_off(table[at].second, random)) is not None}
    for at in list(cut)[: counts["broken off"]]:
        table[at].second, table[at].fault = cut[at], "broken off"
    left = iter([at for at in drawn if not table[at].fault])
    replaced: dict[str, Callable[[], str]] = {
        "gibberish": lambda: gibberish(random),
        "boilerplate": lambda: answer_boilerplate(random),
        "empty": lambda: "",
    }
    for fault, answer in replaced.items():
        for _ in range(counts[fault]):
            row = table[next(left)]
            row.second, row.fault = answer(), fault
    swapped = [table[next(left)] for _ in range(counts["swapped"])]
    answers = [row.second for row in swapped]
    for row, answer in zip(swapped, [*answers[1:], *answers[:1]], strict=True):
        # The answer of another row may say the same ("Yes."), which would be no fault.
        if sound(answer) != sound(row.second):
            row.second, row.fault = answer, "swapped"


def _copies(
    table: Sequence[_Row], counts: Mapping[str, int], random: np.random.Generator, paired: bool = False
) -> list[_Row]:
    """Copies of rows of the table, label included; an edit of a pair is one of its question or of its answer."""
    copies = []
    for fault in COPIES:
        for at in random.choice(len(table), counts[fault], replace=False).tolist():
            row = table[at]
            copy = _Row(row.first, row.second, row.truth, fault, at)
            if fault == "edited" and paired and row.second and random.random() < 0.5:
                copy.second = edited(row.second, random)
            elif fault == "edited":
                copy.first = edited(row.first, random)
            copies.append(copy)
    return copies


def _counts(rates: Mapping[str, float], severity: str, size: int) -> dict[str, int]:
    scale = 0.0 if severity == CLEAN else SEVERITIES[severity]
    return {fault: round(rate * scale * size) for fault, rate in rates.items()}


def _mixed(table: Sequence[_Row], columns: tuple[str, str], random: np.random.Generator) -> Crude:
    """The rows in random order, with ids that tell nothing but that order."""
    order = random.permutation(len(table)).tolist()
    ids = {at: f"r{place}" for place, at in enumerate(order)}
    rows = [(ids[at], table[at].first, table[at].second) for at in order]
    side = [
        (ids[at], table[at].fault, table[at].truth, ids[table[at].origin if table[at].origin >= 0 else at])
        for at in order
    ]
    schema = dict.fromkeys(("id", *columns), pl.String())
    return Crude(pl.DataFrame(rows, schema, orient="row"), pl.DataFrame(side, SIDE_SCHEMA, orient="row"))


def planted(crude: Crude) -> dict[str, int]:
    """How many rows have each fault; "" counts those that have none."""
    return dict(Counter(crude.side["fault"].to_list()))
