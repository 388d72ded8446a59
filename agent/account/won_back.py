"""What a run of a set with planted faults won back: the demo's end, scored on rows that the run never saw."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from ...state.errors import UsageError
from ...state.params.vectors import EmbedParams
from ...state.phrases import Advance, counted, silent
from ...state.report import Record
from ...tools.judge.learned import macro_f1, recovered, vectors_of
from ...tools.planted import Planted
from ...tools.write.shown import Summary
from ..steps.measured import hand_over_vectors, handed_over
from ..view import View


class WonBack(Record):
    """Macro-F1, on docstrings kept apart, of a logistic regression trained on what is left of a set.

    ``crude``: all rows, as planted. ``refined``: the rows of the input that the run keeps, with the labels in force.
    ``oracle``: the rows without planted ones and copies, with their true labels. ``random``: the crude rows less as
    many as the run removed, by chance. ``recovered``: the share of the gap between crude and oracle that the run made
    up; None where there is none.
    """

    crude: float
    refined: float
    oracle: float
    random: float
    recovered: float | None
    removed: int  # rows
    test_rows: int
    classes: int  # that are scored

    @property
    def bars(self) -> dict[str, float]:
        """The four scores by what they are called on the plot."""
        return {
            "crude, as planted": self.crude,
            "refined by the run": self.refined,
            "no planted fault at all": self.oracle,
            "as many out by chance": self.random,
        }


class DemoSummary(Summary):
    """What a demo with planted faults came to."""

    won_back: WonBack
    plot: str  # the image of the four scores


def won_back(view: View, planted: Planted, advance: Advance = silent) -> WonBack:
    """Score what a finished run made of a planted set.

    Args:
        advance: told the texts embedded.

    Raises:
        UsageError: the run has read something else.
    """
    rows, refined, oracle = planted.rows, _refined(view), planted.oracle
    if view.frame("rows", "label")["label"].head(rows.height).to_list() != rows["module"].to_list():
        raise UsageError(
            f"{view.run.root} has read other rows, or other labels, than were planted now, so that they cannot be "
            "compared: begin the demo again with another --out"
        )
    chance = np.random.default_rng([view.config.seed, 4]).permutation(rows.height)[: refined.height]
    sets = {
        "crude": rows.select("id", "module"),
        "refined": refined,
        "oracle": oracle.select("id", "module"),
        "random": rows[np.sort(chance)].select("id", "module"),
    }
    scores = _scores(planted, sets, _vectors(view, planted, advance))
    return WonBack(
        **scores,
        recovered=recovered(scores["refined"], scores["crude"], scores["oracle"]),
        removed=rows.height - refined.height,
        test_rows=planted.test.height,
        classes=planted.test["module"].n_unique(),
    )


def _refined(view: View) -> pl.DataFrame:
    """The rows of the input that are kept, held-out ones among them: id, and in module the label in force."""
    ledger = view.ledger()
    kept = ledger.filter((pl.col("status") != "removed") & (pl.col("origin") == "input"))
    return kept.select("id", module=view.labels().gather(kept["row"]))


def _vectors(view: View, planted: Planted, advance: Advance) -> np.ndarray:
    """Vectors of the rows, then of the test split, float32 [n, d]: the run's own where it has embedded the same text.

    The user's cache holds groups of texts that were encoded together, and here other texts would stand together.
    """
    texts = [*planted.rows["text"], *planted.test["text"]]
    with tempfile.TemporaryDirectory() as folder:
        if view.config.embed == EmbedParams():
            hand_over_vectors(view, Path(folder))
        return vectors_of(texts, view.run.root / "cache", advance, handed_over(Path(folder)))


def _scores(planted: Planted, sets: Mapping[str, pl.DataFrame], vectors: np.ndarray) -> dict[str, float]:
    """The macro-F1 of each set (id, module) on the test split; ``vectors`` (float32 [n, d]) of rows and test split."""
    place = {id: at for at, id in enumerate(planted.rows["id"])}
    asked, truth = vectors[len(place) :], planted.test["module"].to_list()
    return {
        name: macro_f1(vectors[[place[id] for id in one["id"]]], one["module"].to_list(), asked, truth)
        for name, one in sets.items()
    }


def in_words(found: WonBack) -> str:
    """The four scores and the share won back, in one sentence."""
    rows, modules = counted(found.test_rows, "docstring"), counted(found.classes, "module")
    said = (
        f"On {rows} kept apart, a classifier scores {found.crude:.3f} trained on the crude rows, {found.refined:.3f} "
        f"on the refined ones, {found.oracle:.3f} on rows without any planted fault and {found.random:.3f} on the "
        f"crude rows less as many by chance (macro-F1 of {modules}): "
    )
    if found.recovered is None:
        return said + "the planted faults cost nothing here, so there was nothing to win back."
    if found.refined <= found.crude:
        return said + "the run won nothing back of what the faults cost."
    return said + f"the run won back {found.recovered:.0%}".replace("%", " %") + " of what the faults cost."
