"""What a classifier learns from: texts as token ids, their classes as numbers, and the order in which they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....state.errors import InputError

UNLABELLED = -1
_BUCKET = (
    50  # batches whose rows are sorted by length among themselves: little padding, and still a new order each pass
)


@dataclass(frozen=True)
class Rows:
    """Texts with their classes: ``classes`` (int64 [n]) are positions in ``names``, −1 where a row has no label."""

    texts: Sequence[str]
    classes: np.ndarray
    names: tuple[str, ...]

    def labelled(self) -> "Rows":
        """Those that have a label."""
        there = np.flatnonzero(self.classes != UNLABELLED)
        return Rows([self.texts[at] for at in there.tolist()], self.classes[there], self.names)


def rows_of(texts: Sequence[str], labels: Sequence[str | None]) -> Rows:
    """Texts and labels (None: no label) as rows, the classes in the order of their names.

    Raises:
        InputError: the labels name fewer than two classes.
    """
    names = tuple(sorted({label for label in labels if label}))
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise InputError(
            f"a classifier needs rows of two classes, and the labels name {found}: keep more labelled rows"
        )
    number = {name: at for at, name in enumerate(names)}
    classes = np.array([UNLABELLED if not label else number[label] for label in labels], dtype=np.int64)
    return Rows(texts, classes, names)


def spelled(tokenizer: Any, texts: Sequence[str], context: int) -> list[list[int]]:
    """Token ids of texts, of each at most ``context``, and as many as there are positions for."""
    most = min(context, tokenizer.model_max_length)
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=most)["input_ids"]
    return ids


def passes(lengths: Sequence[int], batch_size: int, batches: int, seed: int) -> Iterator[np.ndarray]:
    """So many batches of row numbers (int64 [batch_size] at most), pass after pass, each in a new order.

    Rows of like length stand together.
    """
    sizes, rng = np.asarray(lengths), np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(sizes))
        step = batch_size * _BUCKET
        parts = [order[start : start + step] for start in range(0, len(order), step)]
        found = [
            part[at : at + batch_size]
            for part in (part[np.argsort(sizes[part], kind="stable")] for part in parts)
            for at in range(0, len(part), batch_size)
        ]
        for at in rng.permutation(len(found)).tolist():
            if batches == 0:
                return
            batches -= 1
            yield found[at]


def padded(ids: Sequence[Sequence[int]], padding: int) -> dict[str, Any]:
    """Token ids of some rows as tensors: ``input_ids`` and ``attention_mask``, int64 [n, longest]."""
    import torch

    longest = max(map(len, ids))
    tokens = torch.full((len(ids), longest), padding)
    mask = torch.zeros((len(ids), longest), dtype=torch.long)
    for at, row in enumerate(ids):
        tokens[at, : len(row)] = torch.tensor(row)
        mask[at, : len(row)] = 1
    return {"input_ids": tokens, "attention_mask": mask}
