"""Notes for retrieval: what a question finds among clippings as they lie there, and among the notes that a run leaves.

The whole way is measured: files in a folder, `recryst run FOLDER --profile notes`, and the Markdown files it writes.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import yaml

from ...agent.start import refine
from ...state.params.preparation import CleanParams, DedupParams, LoadParams
from ...tools.read.load import load
from ...tools.repeats import dedup, minhash
from ...tools.repeats.edited import WithoutSubstitution, edited_copies
from ...tools.text.clean import normalise
from ..data import with_vectors
from ..experiment import Experiment, Finished, Measure, Record
from ..table import Table
from .clippings import VERSIONS, Clippings, plant

TEXTS, LOOK_ALIKES, SEEDS = 300, 60, 3
_TOP = 5
#: One round, no model; two thirds of the rows may go, which the cap of a run would refuse.
SETTINGS: dict[str, Any] = {
    "filter.profile": "notes", "train.enabled": False, "stop.max_rounds": 1, "caps.clean_fraction": 0.9,
    "reduce.methods": ["pca"],
}  # fmt: skip
_BEFORE, _NEAR, _AFTER = "all files", "near-duplicates out", "profile notes"


@dataclass(frozen=True)
class Index:
    """What is searched: the text of each entry, and the files that it stands for."""

    texts: Sequence[str]
    files: Sequence[Sequence[str]]


@dataclass(frozen=True)
class NotesPlan:
    """What is measured: ``texts`` postings, of each three files, and a note of a template for five of them; by seed."""

    texts: int = TEXTS
    seeds: int = SEEDS

    def cells(self) -> list["NotesCell"]:
        """One for each seed."""
        return [NotesCell(self.texts, seed) for seed in range(self.seeds)]


@dataclass(frozen=True)
class NotesCell:
    """One draw."""

    texts: int
    seed: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return str(self.seed)


def _bench(data: Path, folder: Path) -> Measure[NotesCell]:
    def measure(cell: NotesCell, _: Path) -> Record:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            look_alikes = cell.texts * LOOK_ALIKES // TEXTS
            planted = plant(data, root / "clippings", cell.texts, look_alikes, cell.seed)
            found = indexes(root, cell.seed)
            methods = {method: _figures(index, planted, root / "cache") for method, index in found.items()}
            return {"methods": methods, "kinds": _by_kind(found[_AFTER], planted)}

    return measure


def _tables(found: Finished[NotesCell], plan: NotesPlan, command: str) -> list[Table]:
    records = [record for _, record in found]
    figures = {method: [record["methods"][method] for record in records] for method in records[0]["methods"]}
    kinds: dict[str, list[tuple[int, int]]] = {}
    for record in records:
        for kind, counts in record["kinds"].items():
            kinds.setdefault(kind, []).append(counts)
    return [_retrieval(figures, plan.texts, command), _merging(kinds)]


def indexes(root: Path, seed: int) -> dict[str, Index]:
    """What is searched of the folder ``clippings`` in ``root``: all files; without near-duplicates; the notes of a run,
    which is left in ``root``."""
    rows = _read(root / "clippings", root / "read")
    ids, text = rows["id"].to_list(), rows["text"]
    refine(root / "clippings", out=root / "run", settings={**SETTINGS, "seed": seed}, quiet=True)
    gone = _near_duplicates(text)
    stays = [at for at in range(len(ids)) if at not in gone]
    standing = {at: [ids[at], *(ids[other] for other, kept in gone.items() if kept == at)] for at in stays}
    return {
        _BEFORE: Index(text.to_list(), [[one] for one in ids]),
        _NEAR: Index([text[at] for at in stays], list(standing.values())),
        _AFTER: written(root / "run" / "notes"),
    }


def _read(folder: Path, workdir: Path) -> pl.DataFrame:
    loaded = load(str(folder), LoadParams(), workdir, as_notes=True)
    rows = pl.read_parquet(loaded.rows, columns=["id", "text"]).drop_nulls()
    return rows.with_columns(normalise(rows["text"], CleanParams()))


def _near_duplicates(text: pl.Series) -> dict[int, int]:
    """What ``--apply near_duplicate`` would take of texts alone, and what stays for it."""
    rows, params = np.arange(len(text), dtype=np.uint32), DedupParams(which_to_keep="longest")
    signed = minhash.SignedRows(text, rows, minhash.signatures(text, params))
    order = dedup.keep_order(signed, params)
    near = dedup.near_duplicates(signed, params, order=order, parts=WithoutSubstitution(text, params.ngram_size))
    edited = edited_copies(text, rows, params, order[~np.isin(rows[order], near.rows)])
    found = [pair for one in (near, edited) for pair in zip(one.rows, np.asarray(one.duplicate_of), strict=True)]
    gone = {int(row): int(kept) for row, kept in found}
    for row in gone:  # a kept row of the first may have gone by the second
        while gone[row] in gone:
            gone[row] = gone[gone[row]]
    return gone


def written(folder: Path) -> Index:
    """The notes that a run wrote, read back."""
    texts, files = [], []
    for path in sorted(folder.glob("*/*.md")):
        _, front, text = path.read_text(encoding="utf-8").split("---\n", 2)
        texts.append(text.strip())
        files.append(yaml.safe_load(front)["sources"])
    return Index(texts, files)


def _figures(index: Index, planted: Clippings, cache: Path) -> dict[str, float]:
    found = [sorted({planted.text_of[file] for file in files}) for files in index.files]
    entries = with_vectors(pl.DataFrame({"text": index.texts}), cache)["vector"].to_list()
    asked = with_vectors(pl.DataFrame({"text": planted.questions}), cache)["vector"].to_list()
    closeness = np.asarray(asked, dtype=np.float32) @ np.asarray(entries, dtype=np.float32).T
    top = np.argsort(-closeness, axis=1, kind="stable")[:, :_TOP].tolist()
    right, distinct = 0, 0
    for question, places in enumerate(top):
        told = [text for place in places for text in found[place]]
        right += question in told
        distinct += len({*told})
    merged = [pair for files in index.files for pair in combinations(files, 2)]
    true = sum(planted.text_of[one] == planted.text_of[other] for one, other in merged)
    wanted = _pairs(planted)
    return {
        "rows": len(index.texts),
        "recall": right / len(top),
        "distinct": distinct / len(top),
        "precision": true / len(merged) if merged else 1.0,  # nothing was merged wrongly
        "merged": true / wanted,
        "lost": len({*planted.text_of.values()} - {text for told in found for text in told}),
    }


def _pairs(planted: Clippings) -> int:
    """Pairs of files that are versions of one text."""
    sizes = np.bincount(list(planted.text_of.values()))
    return int((sizes * (sizes - 1) // 2).sum())


def _by_kind(index: Index, planted: Clippings) -> dict[str, tuple[int, int]]:
    """For each two versions, how many pairs are in one note, and how many there are; parts are cut or edited."""
    place = {file: at for at, files in enumerate(index.files) for file in files}
    by_text: dict[int, dict[str, str]] = {}
    for file, text in planted.text_of.items():
        by_text.setdefault(text, {})[planted.version_of[file]] = file
    counts: dict[str, tuple[int, int]] = {}
    for text, held in by_text.items():
        for one, other in combinations([version for version in VERSIONS if version in held], 2):
            kinds = ("edited" if text % 2 else "cut") if "part" in (one, other) else ""
            name = f"{one} and {other}".replace("part", kinds)
            together = place.get(held[one], -1) == place.get(held[other], -2)
            found, all_ = counts.get(name, (0, 0))
            counts[name] = found + together, all_ + 1
    return counts


def _retrieval(figures: Mapping[str, Sequence[Mapping[str, float]]], texts: int, command: str) -> Table:
    lines = []
    for method, found in figures.items():
        mean = {name: fmean(one[name] for one in found) for name in found[0]}
        bare = method == _BEFORE
        merging = [None if bare else round(mean[name], 4) for name in ("precision", "merged")]
        least = round(min(one["recall"] for one in found), 4)
        asked = (round(mean["rows"]), round(mean["recall"], 4), least, round(mean["distinct"], 3))
        lines.append((method, *asked, *merging, round(mean["lost"], 1)))
    seeds = len(next(iter(figures.values())))
    notes = (
        f"Means over {seeds} seeds. {texts} postings of 20 Newsgroups, the first of each subject: a Markdown note, one "
        f"cut to 40 to 80 % of its lines or with a paragraph in {3} edited, and a web page; and notes of three "
        "templates, 20 of each in 300 postings. Questions: the subjects, which stand in no file.",
        f"Recall@{_TOP}: a version of the right text is among the {_TOP} nearest by cosine (all-MiniLM-L6-v2). "
        "Distinct: different texts among them. Precision and recall of merging: pairs of files in one note that are "
        "versions of one text, and pairs of versions that are in one note. Lost: texts of which no note is left.",
        f"{_NEAR}: Jaccard and edited copies, of the texts alone, the longest stays.",
    )
    columns = (
        "index", "entries", f"recall@{_TOP}", "least", f"distinct in {_TOP}", "precision", "recall", "lost",
    )  # fmt: skip
    return Table("Questions to clippings, and to curated notes", columns, tuple(lines), notes, command)


def _merging(kinds: Mapping[str, Sequence[tuple[int, int]]]) -> Table:
    lines = []
    for kind, found in kinds.items():
        merged, pairs = (sum(one[at] for one in found) for at in (0, 1))
        lines.append((kind, pairs, merged, round(merged / pairs, 4)))
    return Table("Pairs of versions in one note, profile notes", ("pair", "pairs", "merged", "share"), tuple(lines))


#: Plants clippings, curates them, and asks.
EXPERIMENT = Experiment[NotesPlan, NotesCell]("notes", _bench, _tables)
