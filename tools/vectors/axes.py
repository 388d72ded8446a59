"""Shorter vectors: laid along the first principal axes of a set, of as many as keep who is near whom.

The axes are those of the second moments about the origin, not about the mean: what is compared are cosines, and no
other m axes keep inner products as well (Eckart and Young 1936, "The approximation of one matrix by another of lower
rank"). Axes of the covariance find as many neighbours, within 0.004; where the vectors are centred besides, their
cosines are others, and they find 0.02 to 0.12 less (the embedded model at 96 to 256 axes, on banking77, the 20
Newsgroups and the docstrings of the standard library).
"""

from dataclasses import dataclass

import numpy as np

from ...state.errors import InputError, IntegrityError
from ...state.params.vectors import EmbedParams
from ...state.phrases import counted
from .neighbors import nearest, unit
from .reduce import longest_axes

NEIGHBORS = 10  # of each row asked about, that are to be found again
_SAMPLE = 20_000  # rows that axes are fitted to and measured on, at most
_ASKED = 1000  # of them are asked about, at most, …
_ASKED_SHARE = 5  # … and no more than one in so many
_LEAST = 100  # rows below which no size is chosen
_PARTS = 12  # sizes are so many parts of all dimensions
_BLOCK = 4096  # rows held at a time
_DECIMALS = 6


@dataclass(frozen=True)
class Sampled:
    """What a sample of ``rows`` vectors of ``width`` numbers says of shorter ones.

    ``moments``: their second moments, float32 [width, width]; None where no size is taken. ``recall``: sizes,
    ascending, with the mean share that a row finds, by so many axes, of its ten nearest among the rows fitted to, of
    which it is none.
    """

    rows: int
    width: int
    moments: np.ndarray | None
    recall: tuple[tuple[int, float], ...]


def parts(rows: int) -> tuple[int, int]:
    """Of so many rows, how many axes are fitted to, and how many others are asked about."""
    rows = min(rows, _SAMPLE)
    asked = min(_ASKED, rows // _ASKED_SHARE)
    return rows - asked, asked


def sizes(rows: int, width: int, params: EmbedParams) -> tuple[int, ...]:
    """The numbers of axes that are measured, ascending: the one that is wanted, or twelfths of all dimensions.

    Args:
        rows: how many there are, of vectors of ``width`` numbers.

    Raises:
        InputError: as many axes are wanted as vectors have numbers, or more than rows can tell.
    """
    fitted, _ = parts(rows)
    if params.dimensions == "auto":
        wanted = {width * part // _PARTS for part in range(1, _PARTS)} if rows >= _LEAST else set[int]()
        return tuple(sorted(size for size in wanted if 2 <= size <= fitted))
    if params.dimensions is None:
        return ()
    if params.dimensions >= width:
        raise InputError(
            f"embed.dimensions: {params.dimensions} are asked for, and the vectors have {width}; ask for fewer"
        )
    if params.dimensions > fitted:
        raise InputError(
            f"embed.dimensions: {params.dimensions} are asked for, and {counted(fitted, 'row')} to fit them to are too "
            "few; ask for fewer, or leave the setting out"
        )
    return (params.dimensions,)


def sampled(vectors: np.ndarray, params: EmbedParams, seed: int) -> Sampled:
    """Measure shorter vectors on a sample of ``vectors`` (float32 [n, d], unit length), 20,000 at most.

    A fifth of the sample, 1,000 rows at most, is asked about and not fitted to.

    Raises:
        InputError: as ``sizes``.
    """
    from threadpoolctl import threadpool_limits

    wanted = sizes(len(vectors), vectors.shape[1], params)
    fitted, asked = parts(len(vectors))
    chosen = np.random.default_rng(seed).permutation(len(vectors))[: fitted + asked]
    rows, queries = (np.asarray(vectors[np.sort(part)]) for part in (chosen[asked:], chosen[:asked]))
    with threadpool_limits(1):  # what several threads make of a product depends on how many they are
        sums = np.zeros((vectors.shape[1],) * 2)
        for start in range(0, fitted, _BLOCK):
            block = np.asarray(rows[start : start + _BLOCK], dtype=np.float64)
            sums += block.T @ block
        moments = (sums / max(1, fitted)).astype(np.float32)
        true = neighbors_of(rows, queries)
        axes = axes_of(moments, max(wanted, default=0))
        laid, asking = rows @ axes, queries @ axes
        kept = [recall(neighbors_of(unit(laid[:, :size]), unit(asking[:, :size])), true) for size in wanted]
    shares = tuple((size, round(one, _DECIMALS)) for size, one in zip(wanted, kept, strict=True))
    return Sampled(len(vectors), vectors.shape[1], moments, shares)


def chosen_size(found: Sampled, params: EmbedParams) -> int | None:
    """The size that is wanted, or the smallest that keeps ``params.recall``; None: all dimensions stay.

    Raises:
        IntegrityError: other sizes were measured.
        InputError: as ``sizes``.
    """
    if tuple(size for size, _ in found.recall) != sizes(found.rows, found.width, params):
        raise IntegrityError("shorter vectors were measured at other sizes than the settings ask for")
    least = params.recall if params.dimensions == "auto" else 0.0
    return next((size for size, kept in found.recall if kept >= least), None)


def axes_chosen(found: Sampled, params: EmbedParams) -> np.ndarray | None:
    """The axes that vectors are to be laid along, float32 [width, m]; None: all dimensions stay.

    Raises:
        IntegrityError: other sizes were measured, or there are no moments of such vectors.
        InputError: as ``sizes``.
    """
    size = chosen_size(found, params)
    if size is None:
        return None
    if found.moments is None or found.moments.shape != (found.width, found.width):
        raise IntegrityError("the second moments that the axes follow from are not there")
    return axes_of(found.moments, size)


def axes_of(moments: np.ndarray, size: int) -> np.ndarray:
    """The first principal axes of second moments (float [d, d]), float32 [d, size], the longest first."""
    if not size:
        return np.empty((len(moments), 0), dtype=np.float32)
    return longest_axes(np.asarray(moments, dtype=np.float64), size).astype(np.float32)


def along(vectors: np.ndarray, axes: np.ndarray | None) -> np.ndarray:
    """Vectors (float32 [n, d]) laid along ``axes`` (float32 [d, m]): float32 [n, m], unit length; zeros stay zeros.

    Without axes they are as they were.

    Raises:
        InputError: they have another length than those that the axes were fitted to.
    """
    from threadpoolctl import threadpool_limits

    if axes is None:
        return vectors
    if vectors.shape[1] != len(axes):
        raise InputError(f"vectors of {vectors.shape[1]} numbers stand beside such of {len(axes)}: give all as many")
    short = np.empty((len(vectors), axes.shape[1]), dtype=np.float32)
    with threadpool_limits(1):
        for start in range(0, len(vectors), _BLOCK):
            short[start : start + _BLOCK] = unit(np.asarray(vectors[start : start + _BLOCK], dtype=np.float32) @ axes)
    return short


def shortest(vectors: np.ndarray, params: EmbedParams, seed: int) -> tuple[np.ndarray, str | None]:
    """Vectors (float32 [n, d], unit length) as short as the settings ask for, float32 [n, m], and what is said of it.

    Raises:
        InputError: as ``sizes``.
    """
    if params.dimensions is None:
        return vectors, None
    found = sampled(vectors, params, seed)
    return along(vectors, axes_chosen(found, params)), in_words(found, chosen_size(found, params), params)


def in_words(found: Sampled, size: int | None, params: EmbedParams) -> str:
    """What was measured and chosen, in one sentence; ``size`` as ``chosen_size`` gave it."""
    all_stay, rows = f"vectors keep all {found.width} dimensions", counted(found.rows, "row")
    if not found.recall:
        return f"{all_stay}: {rows} are too few to measure shorter ones on"
    by, kept = found.recall[-1] if size is None else (size, dict(found.recall)[size])
    asked = f"{counted(parts(found.rows)[1], 'row')} kept out of the fit"
    finds = f"with {by} axes, {asked} find {100 * kept:.1f} % of their {NEIGHBORS} nearest rows"
    wanted = f" ({100 * params.recall:g} % are wanted)" if params.dimensions == "auto" else ""
    return f"{all_stay if size is None else f'vectors have {size} of {found.width} dimensions'}: {finds}{wanted}"


def recall(found: np.ndarray, true: np.ndarray) -> float:
    """The mean share of the true neighbours (int [m, k]) that were found (int [m, k]); 1 where nothing was asked."""
    return float((found[:, :, None] == true[:, None, :]).any(axis=1).mean()) if len(true) else 1.0


def neighbors_of(vectors: np.ndarray, queries: np.ndarray, k: int = NEIGHBORS) -> np.ndarray:
    """The k nearest vectors (float32 [n, d]) of each query (float32 [m, d]), int32 [m, k]."""
    return nearest(vectors, queries, k)[0]
