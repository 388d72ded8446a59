"""What a cluster is about, in a language model's words: a question without tools, whose answer only a person reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ...state.report import ClusterEvidence
from ..llm.ask import asked, reader, schema
from ..llm.client import Model
from ..llm.datamark import marked, opaque


class Description(BaseModel):
    """The model's words on one cluster."""

    model_config = ConfigDict(extra="forbid")

    about: str = Field(max_length=600)
    outliers: str = Field(max_length=400)


def describe(model: Model, cluster: ClusterEvidence, text_of: Callable[[np.ndarray], pl.Series]) -> Description | None:
    """What the example rows of a cluster have in common; None where the model has no usable answer.

    Args:
        model: who is asked.
        cluster: its figures and the positions of its example rows.
        text_of: text of positions (uint32 [n]), strings [n].

    Raises:
        ModelError: the server refused, or stayed out of reach.
    """
    rows = np.asarray(examples(cluster), dtype=np.uint32)
    texts = [marked(text) for text in text_of(rows).to_list()]
    shown = {"rows": [{"id": opaque("describe", at, *texts), "text": text} for at, text in enumerate(texts)]}
    return model.ask(asked("describe", shown, schema(Description)), reader(Description))


def examples(cluster: ClusterEvidence) -> list[int]:
    """Positions of the rows that stand for a cluster, the most typical first, each once."""
    return list(dict.fromkeys([cluster.medoid, *cluster.boundary, *cluster.random]))
