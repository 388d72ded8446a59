"""The rows that the final model is trained on: texts, and conversations for the chat template of a base model."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import orjson
import polars as pl

from ....state.errors import IntegrityError
from ....tools.model.chat import Chat
from ....tools.read.chats import Conversation, conversations, may_converse
from ....tools.text.clean import normalise
from ....tools.write.export import originals
from ...synthesis.evidence import shape_of
from ...view import View
from ..finish import repeated


def readable(view: View, all_rows: np.ndarray) -> Callable[[np.ndarray], list[str]]:
    """What training reads of some of ``all_rows`` (positions, uint32 [n], ascending): texts, of which some are
    ``Chat``."""
    if not converses(view):
        return lambda rows: view.text(rows).to_list()
    return partial(_read, view, all_rows, pl.Series(_spoken(view, all_rows), dtype=pl.Binary))


def converses(view: View) -> bool:
    """Whether rows may go through a chat template: they are pairs or chats, and a model is fine-tuned on them."""
    params, shape = view.config.train, shape_of(view)
    return params.mode != "scratch" and params.chat_template == "auto" and may_converse(shape)


def in_words(view: View, fields: Mapping[str, Any]) -> str:
    """How many rows were read as conversations, as the end of a sentence; empty where there was no template.

    Raises:
        IntegrityError: they are more than there are rows.
    """
    chats, plain = fields.get("chat_rows", 0), fields.get("plain_rows", 0)
    if not chats and not plain:
        return ""
    again = repeated(view)
    if min(chats, plain) < 0 or chats + plain > (len(view.kept()) if again is None else again["repeat"].sum()):
        raise IntegrityError(f"{chats} conversations and {plain} texts are more than the rows to train on")
    return (
        f"; {chats:,} rows spelt by its chat template, {plain:,} that are no conversations, or that it refuses, as text"
    )


def _read(view: View, all_rows: np.ndarray, spoken: pl.Series, rows: np.ndarray) -> list[str]:
    """``spoken``: the conversation of each of ``all_rows`` as JSON, null where it is none."""
    texts, chats = view.text(rows).to_list(), spoken.gather(np.searchsorted(all_rows, rows)).to_list()
    found = [None if one is None else orjson.loads(one) for one in chats]
    said = [turn["content"] for turns in found for turn in turns or ()]
    clean = iter(normalise(pl.Series("text", said, dtype=pl.String), view.config.clean).to_list())
    return [text if turns is None else _chat(text, turns, clean) for text, turns in zip(texts, found, strict=True)]


def _chat(text: str, turns: Conversation, said: Iterator[str]) -> Chat:
    return Chat(text, [{"role": turn["role"], "content": next(said)} for turn in turns])


def _spoken(view: View, rows: np.ndarray) -> Iterator[bytes | None]:
    shape = shape_of(view)
    names = [name for name in shape.columns if name]
    synthetic = view.path("synthetic_originals") if view.has("synthetic", "synthetic_originals") else None
    for batch in originals(view.path("originals"), synthetic):
        here = np.isin(batch.column("row").to_numpy(zero_copy_only=False), rows)
        for turns in conversations(shape, batch.select(names).filter(pl.Series(here).to_arrow())):
            yield None if turns is None else orjson.dumps(turns)
