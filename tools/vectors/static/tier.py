"""Many texts in a fraction of the time: a static student embeds them, if it agrees with its model on texts held out.

The model itself embeds the sample that the student is fitted on, the texts held out, and those that the student says
too little of. Vectors of student and model do not mix without loss: a table is embedded in one call, or not so.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from ....state.params.vectors import EmbedParams
from ....state.phrases import Advance, silent
from ..cache import VectorCache
from ..embed import embed
from ..encoders.embedded import MiniLMEncoder
from ..encoders.minilm import model_folder
from ..encoders.open import Encoder
from .pieces import Pieces
from .student import ACCEPTED, StaticModel, agreement, fit

SAMPLE, HELD_OUT = 2000, 500  # texts
LEAST = 10 * (SAMPLE + HELD_OUT)  # distinct texts from which on a student is fitted; below it gains little


class Tier(NamedTuple):
    """``vectors`` float32 [n, d], unit length; what is ``said`` of who made them; the ``student``, if accepted."""

    vectors: np.ndarray
    said: str
    student: StaticModel | None


def embed_by_student(
    texts: pl.Series,
    encoder: Encoder,
    cache: VectorCache,
    params: EmbedParams,
    seed: int,
    advance: Advance = silent,
    least: int = LEAST,
) -> Tier:
    """Vectors of texts (strings [n]) by a student fitted on some of them, where it is accepted, else by the model.

    Raises:
        InputError: as ``embed``.
        StorageError: as ``embed``.
    """
    distinct = texts.fill_null("").unique(maintain_order=True)
    if len(distinct) < least or not isinstance(encoder, MiniLMEncoder):
        why = f"fewer than {least:,} distinct texts" if len(distinct) < least else "a student is fitted on MiniLM alone"
        return Tier(embed(texts, encoder, cache, params, advance).vectors, f"no static student: {why}", None)
    drawn = distinct.sample(SAMPLE + HELD_OUT, seed=seed, shuffle=True)
    full = np.asarray(embed(drawn, encoder, cache, params).vectors)
    student = fit(drawn[:SAMPLE], full[:SAMPLE], Pieces.of_model(model_folder()))
    met = agreement(student.encode(drawn[SAMPLE:]).vectors, full[SAMPLE:])
    said = f"on {HELD_OUT} texts held out a static student finds {met:.0%} of the model's 10 nearest"
    if met < ACCEPTED:
        said += f", fewer than {ACCEPTED:.0%}: the model embeds all"
        return Tier(embed(texts, encoder, cache, params, advance).vectors, said, None)
    vectors, borderline = student.encode(texts)
    borderline |= texts.fill_null("").is_in(drawn.implode()).to_numpy()
    own = np.flatnonzero(borderline)
    advance(len(texts) - len(own))
    vectors[own] = embed(texts.gather(own), encoder, cache, params, advance).vectors
    said += f": it embeds {len(texts) - len(own):,} of {len(texts):,} texts, the model the rest"
    said += f" (student {student.sha256[:12]})"
    return Tier(vectors, said, student)
