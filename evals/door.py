"""What the first separation takes from sets that are clean: exact copies, and nothing else."""

import csv
import gzip
import json
import tempfile
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from ..agent.cli.claim import begin
from ..agent.cli.progress import Reporter
from ..agent.session import Session
from ..agent.steps.base import run_step
from ..agent.steps.cycle import PREPARE
from ..agent.view import View
from ..state.config import Config
from ..tools.read.columns import plain_rows
from .data import existing
from .table import Table

Rows = list[dict[str, Any]]


def run(data: Path) -> Table:
    """Rows that the first separation takes out of eight clean sets as it comes, each held against its twin.

    A row is a copy where all of its content says, but for blank space at the ends and the Unicode form, what its twin
    says: found here from the original columns, which are named by hand, and not by what the run took for content.

    Raises:
        InputError: a set is not in the data folder.
    """
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for title, read, content in SETS:
            folder = Path(name) / title.replace("/", "-").replace(" ", "-")
            folder.mkdir()
            source = folder / "rows.jsonl"
            source.write_text("".join(json.dumps(row) + "\n" for row in read(data)))
            view = separated(source, folder / "run")
            rows.append((title, view.values.shape, ", ".join(content), *counted(view, content)))
    columns = ("set", "shape", "content", "rows", "copies taken", "others taken")
    notes = (
        "Copies are rows whose content columns, named by hand, equal those of the row kept for them but for blank "
        "space at the ends and the Unicode form.",
    )
    return Table("What the door takes from clean sets", columns, tuple(rows), notes, "recryst eval door --data DATA")


def separated(source: Path, root: Path) -> View:
    """The run of ``source`` with the default settings, as it stands before anything is embedded."""
    reporter = Reporter(quiet=True)
    with begin(str(source), Config(), root, reporter.say) as directory:
        session = Session(directory, reporter)
        session.start()
        for step in PREPARE:
            if step.due(session.view):
                run_step(step, session)
    return View.open(root)


def counted(view: View, content: Iterable[str]) -> tuple[int, int, int]:
    """How many rows there are, how many copies were taken out, and how many others."""
    originals = [row for batch in pq.ParquetFile(view.path("originals")).iter_batches() for row in plain_rows(batch)]
    said = [tuple(_said(row.get(name)) for name in content) for row in originals]
    ledger = view.ledger()
    place = dict(zip(ledger["id"], ledger["row"], strict=True))
    gone = ledger.filter(pl.col("status") == "removed").select("row", "duplicate_of")
    copies = sum(twin in place and said[row] == said[place[twin]] for row, twin in gone.iter_rows())
    return len(originals), copies, gone.height - copies


def _said(value: Any) -> str:
    return unicodedata.normalize("NFC", value if isinstance(value, str) else json.dumps(value, sort_keys=True)).strip()


def _lines(name: str) -> Callable[[Path], Rows]:
    def read(data: Path) -> Rows:
        with gzip.open(existing(data, name), "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    return read


def _banking77(data: Path) -> Rows:
    with existing(data, "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _clinc(data: Path) -> Rows:
    with gzip.open(existing(data, "clinc_oos/data_full.json.gz"), "rt", encoding="utf-8") as file:
        splits = json.load(file)
    return [{"text": text, "intent": intent} for text, intent in splits["train"]]


def _wikitext(data: Path) -> Rows:
    lines = existing(data, "wikitext2/wikitext2_valid.txt").read_text(encoding="utf-8").splitlines()
    return [{"text": line} for line in lines if line.strip() and not line.strip().startswith("=")]


def _pages(data: Path) -> Rows:
    from .extraction import benchmark

    _, gold = benchmark(existing(data, "html/article-extraction-benchmark.tar.xz"))
    return [{"text": text} for text in gold.values()]


SETS: tuple[tuple[str, Callable[[Path], Rows], tuple[str, ...]], ...] = (
    ("Banking77", _banking77, ("text", "category")),
    ("CLINC", _clinc, ("text", "intent")),
    ("20 Newsgroups", _lines("newsgroups20/newsgroups20.jsonl.gz"), ("text", "group")),
    ("Alpaca", _lines("alpaca/alpaca.jsonl.gz"), ("instruction", "input", "output")),
    ("GSM8K", _lines("gsm8k/train.jsonl.gz"), ("question", "answer")),
    ("HumanEval", _lines("decontamination/HumanEval.jsonl.gz"), ("prompt", "canonical_solution", "test")),
    ("WikiText paragraphs", _wikitext, ("text",)),
    ("gold pages", _pages, ("text",)),
)
