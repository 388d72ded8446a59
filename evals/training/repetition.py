"""Repetition: what a fixed budget of tokens teaches when it is spent on fewer texts, several times each.

Two ways to repeat are told apart. *On purpose*: every text of a set without duplicates is seen as often as any other
(Muennighoff et al. 2023, "Scaling Data-Constrained Language Models"). *By accident*: duplicates are left in, so that a
tenth of the texts makes up half of what is read (Lee et al. 2021, "Deduplicating Training Data Makes Language Models
Better"; Hernandez et al. 2022, "Scaling Laws and Interpretability of Learning from Repeated Data").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl

from ...state.errors import InputError
from ...state.phrases import counted
from ..experiment import Experiment, Finished, Measure, Record
from ..loop.sets import LABELLED
from ..table import Table
from .small import budget, taught, tokenizer_of, tokens_in
from .sources import grouped

NAMES = ("wikitext2", "newsgroups20")
EPOCHS = (1, 2, 4, 8, 16)
PURPOSE, ACCIDENT = "on purpose", "by accident"
_REPEATED, _COPIES = 0.1, 9  # a tenth of the text nine times: half of the whole
_DECAY = 15.387756  # of what a repeated token is worth: R*_D of Muennighoff et al. 2023


@dataclass(frozen=True)
class RepetitionPlan:
    """What is measured: of each set, both ways to repeat at every number of epochs, with every seed.

    ``tokens``: what each training spends.
    """

    sets: Sequence[str] = NAMES
    epochs: Sequence[int] = EPOCHS
    seeds: int = 2
    tokens: int = 150_000

    def cells(self) -> list["RepetitionCell"]:
        """All cells, those of a set one after the other."""
        return [
            RepetitionCell(name, way, epochs, seed, self.tokens)
            for name in self.sets
            for seed in range(self.seeds)
            for epochs in sorted(self.epochs)
            for way in (PURPOSE, ACCIDENT)
        ]


@dataclass(frozen=True)
class RepetitionCell:
    """One training."""

    set: str
    way: str
    epochs: int
    seed: int
    tokens: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.set}-{self.way.replace(' ', '-')}-{self.epochs}-{self.seed}"


@dataclass(frozen=True)
class _Texts:
    """The texts of a set without duplicates, the tokens of each (int64 [n]), and texts that are held out."""

    texts: list[str]
    tokens: np.ndarray
    held_out: list[str]
    tokenizer: Any


def _bench(data: Path, folder: Path) -> Measure[RepetitionCell]:
    texts = lru_cache(maxsize=1)(partial(_texts, data))  # one set at a time stays in memory
    return lambda cell, _: _figures(texts(cell.set), cell)


def _texts(data: Path, name: str) -> _Texts:
    """A set whose texts nearly repeat no other one, and none that is held out."""
    known = LABELLED[name](data)
    texts, held_out = ([text for text, _ in part] for part in (known.train, known.test))
    both = grouped(pl.DataFrame({"text": [*held_out, *texts]})).with_row_index("at")
    both = both.filter(pl.col("at") == pl.col("group"))  # of two alike the first stays
    later = pl.col("at") >= len(held_out)
    apart, kept = (both.filter(which)["text"].to_list() for which in (~later, later))
    tokenizer = tokenizer_of(kept)
    return _Texts(kept, tokens_in(tokenizer, kept), apart, tokenizer)


def _figures(of: _Texts, cell: RepetitionCell) -> Record:
    random = np.random.default_rng(cell.seed)
    order = random.permutation(len(of.texts))
    size = cell.tokens / cell.epochs  # tokens of the set, as it is passed over
    if of.tokens.sum() < size:
        raise InputError(f"{cell.set} has only {of.tokens.sum():,} tokens, less than --tokens {cell.tokens:,}")
    if cell.way == PURPOSE:
        unique = rows = _first(order, of.tokens, size)
    else:
        unique = _first(order, of.tokens, size / (1 + _REPEATED * (_COPIES - 1)))
        often = _first(unique, of.tokens, _REPEATED * of.tokens[unique].sum())
        rows = random.permutation(np.concatenate([unique, *[often] * (_COPIES - 1)]))
    texts = [of.texts[row] for row in rows]
    learned = taught(texts, of.held_out, of.tokenizer, budget(cell.tokens, cell.epochs + 1), cell.seed)
    return {"unique_texts": len(unique), "unique_tokens": int(of.tokens[unique].sum()), **learned}


def _first(order: np.ndarray, tokens: np.ndarray, size: float) -> np.ndarray:
    """The first rows of ``order`` that together have ``size`` tokens."""
    return order[: int(np.searchsorted(np.cumsum(tokens[order]), size)) + 1]


def worth(epochs: int) -> float:
    """What ``epochs`` passes over a text teach, as a share of what as many new tokens would.

    U tokens seen R times more are worth as many as U + U R* (1 - exp(-R / R*)) new ones, with R* = 15.4 (Muennighoff et
    al. 2023).
    """
    return (1 + _DECAY * (1 - math.exp(-(epochs - 1) / _DECAY))) / epochs


def _tables(records: Finished[RepetitionCell], plan: RepetitionPlan, command: str) -> list[Table]:
    least = min(plan.epochs)
    once = {(cell.set, cell.seed): record["bits_per_byte"] for cell, record in records
            if cell.way == PURPOSE and cell.epochs == least}  # fmt: skip
    rows = []
    for name, way, epochs in sorted({(cell.set, cell.way, cell.epochs) for cell, _ in records}, key=_line_order):
        own = [(c, record) for c, record in records if (c.set, c.way, c.epochs) == (name, way, epochs)]
        more = [100 * (record["bits_per_byte"] / once[cell.set, cell.seed] - 1) for cell, record in own]
        law = f"{100 * worth(epochs):.0f} %" if way == PURPOSE else None
        figures = (fmean(record[key] for _, record in own) for key in ("unique_tokens", "loss", "bits_per_byte"))
        unique, loss, bits = figures
        spread = (round(value, 2) for value in (fmean(more), min(more), max(more)))
        rows.append((name, way, epochs, round(unique), round(loss, 2), round(bits, 3), *spread, law))
    notes = (
        f"{plan.tokens:,} tokens in every training, means over {counted(plan.seeds, 'seed')}. On purpose: texts of "
        "which none repeats another, all seen so often. By accident: a set of that size in which a tenth of the text "
        f"stands {_COPIES} times and makes up half of it. Unique: tokens of different texts. Loss: in nats per token, "
        "at the end of the training. Bits per byte: of texts that are held out.",
        f"% more: bits per byte beside {counted(least, 'epoch')} on purpose with the same seed; its "
        "mean, the least and the most over the seeds. Worth: what the tokens of so many epochs are worth beside as "
        "many new ones, by the law of Muennighoff et al. 2023.",
    )
    columns = ("set", "repeated", "epochs", "unique", "loss", "bits per byte", "% more", "least", "most", "worth")
    return [Table("Repetition", columns, tuple(rows), notes, command)]


def _line_order(line: tuple[str, str, int]) -> tuple[int, bool, int]:
    name, way, epochs = line
    return NAMES.index(name), way == ACCIDENT, epochs


#: Spends the budget of each cell.
EXPERIMENT = Experiment[RepetitionPlan, RepetitionCell]("repetition", _bench, _tables)
