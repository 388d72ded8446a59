"""Vectors of fewer dimensions or fewer bits, and how many of the nearest neighbours they keep.

Fewer dimensions are the first so many of a rotation or another linear map (``axes``, float32 [d, d]): of none, which is
plain truncation; of the principal axes; or of a Matryoshka adapter that was trained on the set. Fewer bits are one byte
or one bit a dimension; what they find can be put in order once more by the vectors themselves.
"""

from collections.abc import Sequence

import numpy as np

from ...state.phrases import Advance, silent
from ...tools.vectors.axes import axes_of
from ...tools.vectors.neighbors import unit

RESCORED = 4  # times as many candidates are looked at once more, as Sentence Transformers' examples have it
STEPS = 400  # of an adapter's training
_BATCH = 512  # rows of a step
_SHARPNESS = 20.0  # a neighbour 0.05 further away in cosine weighs e times less
_RATE = 1e-3


def untouched(vectors: np.ndarray) -> np.ndarray:
    """The axes as they are, float32 [d, d]: to shorten along them is to truncate."""
    return np.eye(vectors.shape[1], dtype=np.float32)


def principal_axes(vectors: np.ndarray) -> np.ndarray:
    """The principal axes of ``vectors`` (float32 [n, d]) about the origin, float32 [d, d], the longest first.

    About the origin, not about the mean: no other m axes keep the inner products as well (Eckart and Young 1936).
    """
    return axes_of(np.asarray(vectors.T @ vectors), vectors.shape[1])


def matryoshka_axes(
    vectors: np.ndarray, sizes: Sequence[int], seed: int, steps: int = STEPS, advance: Advance = silent
) -> np.ndarray:
    """A linear map, float32 [d, d], trained so that its first m outputs keep who is near whom, for each m of ``sizes``.

    A Matryoshka adapter (Yoon et al. 2024, arXiv 2407.20243): trained on the vectors of a set alone, for all sizes at
    once. The paper compares cosines; here each row's distribution over the others of its batch by their cosine is
    compared with that by their first m outputs (Hinton and Roweis 2002, "Stochastic neighbor embedding"), which counts
    for the near ones and leaves the far ones alone. It starts from the principal axes.

    Args:
        vectors: float32 [n, d], unit length.
        seed: of the batches.
        advance: told the steps.
    """
    import torch
    from torch.nn.functional import kl_div, log_softmax, normalize

    random = np.random.default_rng(seed)
    axes = torch.tensor(principal_axes(vectors), requires_grad=True)
    optimizer = torch.optim.Adam([axes], lr=_RATE)
    itself = torch.eye(min(_BATCH, len(vectors)), dtype=torch.bool)

    def nearness(rows: torch.Tensor) -> torch.Tensor:
        return log_softmax((_SHARPNESS * rows @ rows.T).masked_fill(itself, -torch.inf), dim=1).masked_fill(itself, 0.0)

    for _ in range(steps):
        rows = torch.from_numpy(np.asarray(vectors[random.choice(len(vectors), len(itself), replace=False)]))
        outputs, wanted = rows @ axes, nearness(rows).exp().masked_fill(itself, 0.0)
        losses = [kl_div(nearness(normalize(outputs[:, :m])), wanted, reduction="batchmean") for m in sizes]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        advance(1)
    return axes.detach().numpy()


def in_bytes(vectors: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Vectors (float32 [n, d]) in one byte a dimension, 256 steps from the least to the most of ``ranges``
    (float32 [2, d]): uint8 [n, d]."""
    low, high = ranges
    return np.asarray(np.rint(np.clip((vectors - low) / np.maximum(high - low, 1e-12), 0, 1) * 255), dtype=np.uint8)


def from_bytes(codes: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """What ``in_bytes`` stands for, float32 [n, d], unit length."""
    low, high = ranges
    return unit(np.asarray(low + codes * ((high - low) / 255), dtype=np.float32))


def in_bits(vectors: np.ndarray) -> np.ndarray:
    """The sign of each dimension (float32 [n, d]) as ±1/√d, float32 [n, d]: cosines of these order by Hamming
    distance."""
    return np.where(vectors > 0, 1, -1).astype(np.float32) / np.float32(np.sqrt(vectors.shape[1]))


def rescored(found: np.ndarray, vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """The k nearest of the candidates of each query by the vectors themselves, int32 [m, k].

    Args:
        found: the candidates, int32 [m, c]; ``vectors`` float32 [n, d] and ``queries`` float32 [m, d], unit length.
    """
    cosines = np.einsum("mcd,md->mc", vectors[found], queries)
    return np.take_along_axis(found, np.argsort(-cosines, axis=1, kind="stable")[:, :k], axis=1)
