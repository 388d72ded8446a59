"""A crude set of known faults, made of the standard library's docstrings by a seed; what is true stays apart.

The demo refines it: because every fault is known, what the refined rows are worth can be held against what the rows
would be worth without any.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from .noise import edited, gibberish, page_boilerplate

#: Rows with each fault, per docstring. Wrong labels are docstrings; all others come on top.
RATES = {
    "wrong label": 0.10,
    "gibberish": 0.04,
    "boilerplate": 0.04,
    "source code": 0.10,
    "exact copy": 0.05,
    "edited copy": 0.05,
}
LARGE = 60  # docstrings of a module of which some are kept apart
KEPT_APART = 0.25  # of them
_COLUMNS = ("id", "text", "module", "kind")  # what a run reads


@dataclass(frozen=True)
class Planted:
    """A set with its faults, and rows to score with.

    ``rows``: what a run reads: id (which tells nothing), text, module (the label), kind. ``truth``, in the same order:
    id, fault ("" where there is none), module (the right label; null where no label is right), copy_of (the id of the
    row that a copy repeats, else null), name (of the docstring; null for a planted text). ``test``: docstrings that
    are not among the rows: name, text, module, kind.
    """

    rows: pl.DataFrame
    truth: pl.DataFrame
    test: pl.DataFrame

    @property
    def oracle(self) -> pl.DataFrame:
        """The truth of the rows that stay without planted rows and copies, their true labels in ``module``."""
        return self.truth.filter(pl.col("fault").is_in(["", "wrong label"]))


def announced() -> str:
    """The rates in words, copies counted together."""
    copies = RATES["exact copy"] + RATES["edited copy"]
    shares = [
        (RATES["wrong label"], "wrong labels"),
        (RATES["gibberish"], "gibberish"),
        (RATES["boilerplate"], "boilerplate"),
        (RATES["source code"], "rows of another kind (source code)"),
        (copies, "copies (half of them with a few words changed)"),
    ]
    return ", ".join(f"{share:.0%}".replace("%", " %") + f" {name}" for share, name in shares)


def sampled(docstrings: pl.DataFrame, rows: int | None, seed: int) -> pl.DataFrame:
    """At most ``rows`` of the docstrings, drawn by a seed, in their order; all of them where ``rows`` is None."""
    if rows is None or rows >= docstrings.height:
        return docstrings
    chosen = np.random.default_rng([seed, 1]).choice(docstrings.height, rows, replace=False)
    return docstrings[np.sort(chosen)]


def kept_apart(docstrings: pl.DataFrame, large: Sequence[str], seed: int) -> np.ndarray:
    """Which docstrings are kept apart to score with, bool [n]: a quarter of those of the ``large`` modules.

    None of them says what another docstring says, but for case and spaces.

    Args:
        docstrings: text and module.
    """
    said = docstrings["text"].str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    eligible = said.is_unique() & docstrings["module"].is_in(list(large))
    from_these = np.flatnonzero(eligible.to_numpy())
    chosen = np.random.default_rng([seed, 2]).permutation(from_these)[: round(KEPT_APART * len(from_these))]
    apart = np.zeros(docstrings.height, dtype=bool)
    apart[chosen] = True
    return apart


def large_modules(docstrings: pl.DataFrame) -> list[str]:
    """The modules with at least 60 docstrings, sorted."""
    return docstrings.group_by("module").len().filter(pl.col("len") >= LARGE)["module"].sort().to_list()


def plant(docstrings: pl.DataFrame, apart: np.ndarray, code: Sequence[str], seed: int) -> Planted:
    """Plant faults, at the ``RATES``, into the docstrings that are not kept ``apart`` (bool [n]).

    Wrong labels first, then copies of any row, wrong label included. A wrong label, and that of a planted text, is the
    one of another row by chance, so that the classes keep about their sizes.

    Args:
        docstrings: id, text, module, kind.
        code: source code for the rows of another kind, at least as many as the rate asks for.
    """
    random = np.random.default_rng([seed, 3])
    name = docstrings.rename({"id": "name"})
    table = name.filter(~apart).with_columns(
        fault=pl.lit(""), right=pl.col("module"), origin=pl.lit(None, dtype=pl.Int64)
    )
    counts = {fault: round(rate * table.height) for fault, rate in RATES.items()}
    table = _mislabelled(table, counts["wrong label"], random)
    parts = [table, *(_copies(table, fault, counts[fault], random) for fault in ("exact copy", "edited copy"))]
    texts = {
        "gibberish": [gibberish(random) for _ in range(counts["gibberish"])],
        "boilerplate": [page_boilerplate(random) for _ in range(counts["boilerplate"])],
        "source code": code[: counts["source code"]],
    }
    parts += [_foreign(table, fault, one, random) for fault, one in texts.items()]
    return _mixed(pl.concat(parts), name.filter(apart), random)


def _mislabelled(table: pl.DataFrame, count: int, random: np.random.Generator) -> pl.DataFrame:
    labels = table["module"].to_numpy().copy()
    before = labels.copy()
    chosen = np.sort(random.choice(len(labels), count, replace=False))
    for at in chosen.tolist():
        labels[at] = random.choice(before[before != before[at]])
    fault = pl.Series("fault", [""] * table.height).scatter(chosen, "wrong label")
    return table.with_columns(pl.Series("module", labels, dtype=pl.String), fault)


def _copies(table: pl.DataFrame, fault: str, count: int, random: np.random.Generator) -> pl.DataFrame:
    """Copies of rows of the table, label included; those of the fault "edited copy" with a few words changed."""
    chosen = random.choice(table.height, count, replace=False)
    copies = table[chosen].with_columns(fault=pl.lit(fault), origin=pl.Series(chosen, dtype=pl.Int64))
    if fault == "exact copy":
        return copies
    return copies.with_columns(text=pl.Series([edited(text, random) for text in copies["text"]], dtype=pl.String))


def _foreign(table: pl.DataFrame, fault: str, texts: Sequence[str], random: np.random.Generator) -> pl.DataFrame:
    """Texts that belong to no class, each with the label and the kind of some row."""
    like = table[random.integers(table.height, size=len(texts))]
    return like.with_columns(
        pl.lit(None, dtype=pl.String).alias("name"),
        pl.lit(None, dtype=pl.String).alias("right"),
        text=pl.Series(list(texts), dtype=pl.String),
        fault=pl.lit(fault),
        origin=pl.lit(None, dtype=pl.Int64),
    )


def _mixed(table: pl.DataFrame, test: pl.DataFrame, random: np.random.Generator) -> Planted:
    """The rows in random order, with ids that tell nothing but that order."""
    order = random.permutation(table.height)
    ids = np.empty(table.height, dtype=object)
    ids[order] = [f"r{place}" for place in range(table.height)]
    id = pl.Series("id", ids, dtype=pl.String)
    table = table.with_columns(id, copy_of=id.gather(table["origin"]))[order]
    truth = table.select("id", "fault", "right", "copy_of", "name").rename({"right": "module"})
    return Planted(table.select(_COLUMNS), truth, test)
