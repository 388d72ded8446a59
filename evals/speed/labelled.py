"""Labelled texts: what a faster way to their vectors leaves of what a classifier learns from them."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...state.errors import UsageError
from ...state.params.vectors import EmbedParams
from ...tools.judge.learned import macro_f1
from ...tools.vectors.cache import VectorCache
from ...tools.vectors.encoders.open import Encoder, open_encoder
from ...tools.vectors.static.tier import Tier, embed_by_student
from ..loop.sets import LabelledSet, banking77
from .pairs import Line, Plan, paired, versioned
from .texts import not_here, peer

_ROWS = 5000  # texts that are timed, and trained on
_MANY = 100_000  # texts of the static student
_PEER_TEXTS = 2000  # of these, that the peer embeds
_BANKING = (("int8", 4.5), ("auto", 2.5))  # precisions, and how much faster each is to be
_POINTS = 0.3  # of macro-F1 that another precision may cost
_KEPT = 0.92  # share of the macro-F1 that a static student has to keep
_WARM = 64  # texts before the first that counts


def banking(plan: Plan) -> list[Line]:
    """Questions to a bank, in eight bits and in the precision chosen by itself: macro-F1 beside the peer's."""
    found, encode = _opened(plan)
    texts = _drawn([text for text, _ in found.train], _ROWS, plan.seed)
    theirs = 100 * _score(found, encode)
    lines = []
    for precision, bar in _BANKING:
        try:
            lines.append(_banking(found, (texts, encode, theirs), precision, bar, plan))
        except UsageError as error:
            lines.append(not_here("banking", f"{len(texts):,} questions, {precision}", bar, error))
    return lines


def _banking(
    found: LabelledSet,
    peers: tuple[list[str], Callable[[list[str]], Any], float],
    precision: Any,
    bar: float,
    plan: Plan,
) -> Line:
    (texts, encode, theirs), encoder = peers, _warm(found, precision)
    measured = paired(lambda: encoder.encode(texts), lambda: encode(texts), plan.repeats)
    ours = 100 * _score(found, encoder.encode)
    return Line(
        name="banking",
        size=f"{len(texts):,} questions, {precision}",
        peer=versioned("sentence-transformers"),
        seconds=(measured.ours, measured.theirs),
        faster=measured.faster,
        bar=bar,
        quality=f"macro-F1 {ours:.2f}, the peer's {theirs:.2f}",
        good=theirs - ours <= _POINTS,
        note=f"Banking77 in {encoder.runtime}; macro-F1 on its test split, of a classifier trained on the vectors",
    )


def static(plan: Plan) -> list[Line]:
    """A static student: many short texts, each the first half of one question and the second of another."""
    found, encode = _opened(plan)
    encoder = _warm(found, "auto")
    texts = pl.Series(_spliced([text for text, _ in found.train], min(plan.rows, _MANY), plan.seed))
    peers = texts.head(_PEER_TEXTS).to_list()
    with tempfile.TemporaryDirectory() as folder:

        def by_student(texts: pl.Series, name: str) -> Tier:
            cache = VectorCache(Path(folder) / name, encoder.name, encoder.dimensions)
            return embed_by_student(texts, encoder, cache, EmbedParams(), plan.seed, least=0)

        again = iter(range(plan.repeats))  # each time without the vectors of the time before
        measured = paired(
            lambda: by_student(texts, f"spliced-{next(again)}"), lambda: encode(peers), plan.repeats,
            scale=len(texts) / len(peers),
        )  # fmt: skip
        both = [text for text, _ in (*found.train, *found.test)]
        scored = by_student(pl.Series(both), "scored")
        known = dict(zip(both, scored.vectors, strict=True))
        ours = _score(found, lambda rows: np.asarray([known[row] for row in rows]))
        theirs = _score(found, encode)
    return [
        Line(
            name="static",
            size=f"{len(texts):,} short texts",
            peer=versioned("sentence-transformers"),
            seconds=(measured.ours, measured.theirs),
            faster=measured.faster,
            bar=40,
            quality=f"macro-F1 {ours / theirs:.1%} of the peer's",
            good=ours >= _KEPT * theirs,
            note=f"`tool embed --set static=true`, fitting included; the peer embeds {len(peers):,} of them. Spliced "
            f"texts: {measured.result.said}. Macro-F1 on Banking77 as it is: {scored.said}",
        )
    ]


def _opened(plan: Plan) -> tuple[LabelledSet, Callable[[list[str]], Any]]:
    """Banking77, and the peer's way to encode."""
    assert plan.data is not None
    found = banking77(plan.data)
    return found, peer([text for text, _ in found.test])


def _warm(found: LabelledSet, precision: Any) -> Encoder:
    encoder = open_encoder(EmbedParams(precision=precision))
    encoder.encode([text for text, _ in found.test[:_WARM]])
    return encoder


def _drawn(texts: list[str], most: int, seed: int) -> list[str]:
    return [str(text) for text in np.random.default_rng(seed).permutation(texts)[:most]]


def _spliced(texts: list[str], count: int, seed: int) -> list[str]:
    """Distinct texts, each of the first half of one and the second half of another."""
    rng, words = np.random.default_rng(seed), [text.split() for text in texts]
    made: dict[str, None] = {}
    while len(made) < count:
        for first, second in rng.integers(len(words), size=(count - len(made), 2)).tolist():
            one, other = words[first], words[second]
            made[" ".join([*one[: -(-len(one) // 2)], *other[len(other) // 2 :]])] = None
    return list(made)


def _score(found: LabelledSet, embed: Any) -> float:
    """Macro-F1 of a classifier trained on the vectors of at most so many training rows, on the test split."""
    train = [found.train[at] for at in np.random.default_rng(0).permutation(len(found.train))[:_ROWS]]
    vectors, test = (np.asarray(embed([text for text, _ in rows])) for rows in (train, found.test))
    return macro_f1(vectors, [label for _, label in train], test, [label for _, label in found.test])
