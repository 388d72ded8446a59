"""Stages: what each stage that cleans text is worth, by a small language model trained with it and one without it.

The method is FineWeb's (Penedo et al. 2024, section 3: models of one shape, trained on as many tokens of each variant
of the data), but for what is measured: bits per byte of clean text of the same source, where FineWeb asks benchmarks,
which say nothing of a model as small as this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import numpy as np
import polars as pl

from ...state.phrases import counted
from ...tools.judge.paired import moved
from ..experiment import Experiment, Finished, Measure, Record
from ..table import Table
from .small import budget, taught, tokenizer_of
from .sources import CRUDE, SOURCES, Source

NAMES = tuple(SOURCES)
_MOST_EPOCHS = 16  # so that a stage that leaves little text spends the budget, too


@dataclass(frozen=True)
class StagesPlan:
    """What is measured: of each set the crude text and every stage, with every seed.

    ``tokens``: what each training spends.
    """

    sets: Sequence[str] = NAMES
    seeds: int = 3
    tokens: int = 100_000

    def cells(self) -> list["StagesCell"]:
        """All cells, those of a seed of a set one after the other."""
        return [
            StagesCell(name, stage, seed, self.tokens)
            for name in self.sets
            for seed in range(self.seeds)
            for stage in (CRUDE, *SOURCES[name].stages)
        ]


@dataclass(frozen=True)
class StagesCell:
    """One training: on rows that are drawn by the seed, crude or through one stage."""

    set: str
    stage: str
    seed: int
    tokens: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.set}-{self.stage.replace(', ', '-').replace(' ', '-')}-{self.seed}"


def _bench(data: Path, folder: Path) -> Measure[StagesCell]:
    @lru_cache(maxsize=1)  # one set at a time stays in memory
    def read(name: str) -> pl.DataFrame:
        return SOURCES[name].read(data)

    def measure(cell: StagesCell, _: Path) -> Record:
        source = SOURCES[cell.set]
        rows, held_out = drawn(source, read(cell.set), cell)
        texts = rows["text"] if cell.stage == CRUDE else source.stages[cell.stage][1](rows)
        left = texts.drop_nulls()
        tokenizer = tokenizer_of([*rows["text"], *rows["clean"].drop_nulls()])
        learned = taught(left.to_list(), held_out, tokenizer, budget(cell.tokens, _MOST_EPOCHS), cell.seed)
        return {"rows": len(left), "bytes": int(left.str.len_bytes().sum()), **learned}

    return measure


def drawn(source: Source, rows: pl.DataFrame, cell: StagesCell) -> tuple[pl.DataFrame, list[str]]:
    """The rows to train on, in the order of the cell's seed, and clean texts of other groups, one of each."""
    rows = rows[np.random.default_rng(cell.seed).permutation(rows.height)]
    apart = rows.filter(pl.col("clean").is_not_null() & pl.col("group").is_first_distinct()).head(source.held_out)
    rows = rows.filter(~pl.col("group").is_in(apart["group"].implode()))
    if source.bytes_per_token is not None:  # of each group all rows, or none
        size = pl.col("text").str.len_bytes().sum().over("group")
        firsts = rows.with_columns(size=size).filter(pl.col("group").is_first_distinct())
        enough = firsts.filter(pl.col("size").cum_sum() <= source.bytes_per_token * cell.tokens)
        rows = rows.filter(pl.col("group").is_in(enough["group"].implode()))
    return rows, apart["clean"].to_list()


def _tables(records: Finished[StagesCell], plan: StagesPlan, command: str) -> list[Table]:
    rows = []
    for name, stage in dict.fromkeys((cell.set, cell.stage) for cell, _ in records):
        beside = None if stage == CRUDE else SOURCES[name].stages[stage][0]
        own, other = (
            [record for cell, record in records if (cell.set, cell.stage) == (name, one)] for one in (stage, beside)
        )
        epochs, bits = (fmean(record[key] for record in own) for key in ("epochs", "bits_per_byte"))
        rows.append((name, stage, beside, *_beside(own, other), round(epochs, 2), round(bits, 3)))
    notes = (
        f"{plan.tokens:,} tokens in every training, means over {counted(plan.seeds, 'draw')}, each with its own rows "
        "held out; of those, bits per byte of their clean text: of pages the article, of postings what their authors "
        "wrote, of instructions the row. Rows and text: what the stage leaves, in per cent of what it stands beside.",
        "Gain: how many per cent fewer bits per byte than beside it with the same seed, its mean, the least and the "
        "most. Pays: whether Student's 95 % interval leaves 0 out. Gold: trained on the clean text itself.",
    )
    columns = ("set", "stage", "beside", "rows %", "text %", "gain %", "least", "most", "pays", "epochs")
    return [Table("What each stage teaches", (*columns, "bits per byte"), tuple(rows), notes, command)]


def _beside(own: Sequence[Record], other: Sequence[Record]) -> tuple[str | float | None, ...]:
    """What a stage leaves and gains, in per cent of what it stands beside, draw by draw."""
    if not other:
        return (None,) * 6
    pairs = list(zip(own, other, strict=True))
    shares = (round(100 * fmean(one[key] / two[key] for one, two in pairs), 1) for key in ("rows", "bytes"))
    gains = np.array([100 * (1 - one["bits_per_byte"] / two["bits_per_byte"]) for one, two in pairs])
    found = moved(np.zeros(len(gains)), gains, np.ones(len(gains)), np.arange(len(gains)))
    low, high = (0, 0) if found is None else (found.low, found.high)
    pays = "yes" if low > 0 else "no, it costs" if high < 0 else "not told from noise"
    return *shares, *(round(float(value), 2) for value in (gains.mean(), gains.min(), gains.max())), pays


#: Trains on each set crude, and on what each stage makes of it.
EXPERIMENT = Experiment[StagesPlan, StagesCell]("stages", _bench, _tables)
