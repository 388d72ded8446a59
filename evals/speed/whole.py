"""A whole run beside one topic model of the same texts, which embeds, reduces and clusters them once."""

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...state import events
from ...state.settings import parse_config
from ...tools.docstrings import read_docstrings
from ...tools.folders import CACHE_VARIABLE
from ...tools.program import shipped_kernels
from ...tools.vectors.encoders.minilm import model_folder
from ..loop.sets import banking77, newsgroups20
from ..runs import FinishedRun, refine
from .pairs import Line, Measured, Plan, paired, timed, versioned

_ROWS = 20_000
_SHARES = {"questions": 0.4, "docstrings": 0.3, "postings": 0.3}
_ROUNDS = 5
_SETTINGS: dict[str, Any] = {"train": {"enabled": False}, "stop": {"max_rounds": _ROUNDS}}
_PEER = "bertopic"


def whole(plan: Plan) -> list[Line]:
    """Five rounds with maps and report, nothing cached and no model trained, of rows of mixed length."""
    texts = _mixed(plan)
    with tempfile.TemporaryDirectory() as folder:
        beside, own = _measured(texts, Path(folder), plan.seed)
        run = FinishedRun(Path(folder) / "run")
        first, later = _by_round(run)
    quality = f"{len(later) + 1} rounds, a later one {np.mean(later) / first:.1%} of the first" if later else "1 round"
    return [
        Line(
            name="whole",
            size=f"{len(texts):,} texts of mixed length",
            peer=versioned(_PEER),
            seconds=None if beside is None else (beside.ours, beside.theirs),
            faster=None if beside is None else beside.faster,
            bar=2,
            quality=quality,
            good=bool(later) and float(np.mean(later)) <= 0.05 * first,
            note=f"once each; questions to a bank, docstrings and postings, as 4 to 3 to 3. A run of {own:.0f} s: "
            f"{_ROUNDS} rounds at most, maps, report; the peer: `fit_transform` with the same embedding model",
        )
    ]


def _measured(texts: list[str], folder: Path, seed: int) -> tuple[Measured[None, Any] | None, float]:
    """Ours and the peer's, where it is installed; and the seconds of ours."""
    source = folder / "texts.jsonl"
    pl.DataFrame({"text": texts}).write_ndjson(source)
    config = parse_config({**_SETTINGS, "seed": seed}, "the experiment")

    def ours() -> None:
        with _empty_cache(folder / "cache"):
            refine(source, folder / "run", config)

    if importlib.util.find_spec(_PEER) is None:
        return None, timed(ours)[0]
    found = paired(ours, lambda: _peer(texts), 1)
    return found, found.ours


def _peer(texts: list[str]) -> Any:
    with shipped_kernels():
        from bertopic import BERTopic
        from sentence_transformers import SentenceTransformer

    return BERTopic(embedding_model=SentenceTransformer(str(model_folder()), device="cpu")).fit_transform(texts)


def _by_round(run: FinishedRun) -> tuple[float, list[float]]:
    """The seconds up to the first decision, and those of each round after it."""
    spent = [0.0]
    for event in run.events:
        if isinstance(event, events.Decide):
            spent.append(0.0)
        if isinstance(event, events.StepEvent):
            spent[-1] += event.seconds
    return spent[0], spent[1:-1]


@contextmanager
def _empty_cache(folder: Path) -> Iterator[None]:
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(CACHE_VARIABLE)
        if before is not None:
            os.environ[CACHE_VARIABLE] = before


def _mixed(plan: Plan) -> list[str]:
    assert plan.data is not None
    random, postings = np.random.default_rng(plan.seed), newsgroups20(plan.data)
    found = {
        "questions": [text for text, _ in banking77(plan.data).train],
        "docstrings": [row["text"] for row in read_docstrings()],
        "postings": [text for text, _ in (*postings.train, *postings.test)],
    }
    texts = []
    for name, share in _SHARES.items():
        chosen = random.permutation(len(found[name]))[: round(share * min(plan.rows, _ROWS))]
        texts += [found[name][at] for at in chosen.tolist()]
    return [texts[at] for at in random.permutation(len(texts)).tolist()]
