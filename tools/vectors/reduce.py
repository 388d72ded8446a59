"""The 2-D and 3-D maps on which a person sees the clusters: PCA, t-SNE and UMAP.

PCA is exact over all rows. t-SNE and UMAP are fitted on a seeded sample of rows, the landmarks, and every other
row is placed among its nearest landmarks, so that their cost does not grow with the data. Both start from the
PCA map, which keeps the large-scale arrangement and makes them reproducible (Kobak and Berens 2019; Kobak and
Linderman 2021), and both UMAP maps share one neighbour graph. t-SNE is drawn in the plane alone: in space it takes
twice as long and shows no more.
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import polars as pl

from ...state.errors import InputError
from ...state.params.vectors import ReduceParams
from ...state.phrases import Advance, silent
from ..folders import numba_cache
from ..program import settle_sklearn
from ..table_tool import TableTool
from .embed import table_vectors
from .neighbors import nearest

_BLOCK = 4096  # rows held at a time
_PCA_DIMENSIONS = 50  # what t-SNE and UMAP are fitted on
_PLACED_BY = 3  # landmarks that place another row; more of them draw rows towards the middle of the map
_UMAP_NEIGHBORS = 15
_EPOCHS = 300_000  # of UMAP, times rows: from 1,500 rows on 200 are within 0.01 of the trustworthiness of its own 500
_MIN_ROWS = 5
DIMENSIONS = {"pca": (2, 3), "umap": (2, 3), "tsne": (2,)}  # of each method's maps


@dataclass(frozen=True)
class Maps:
    """The maps of one set of vectors.

    ``coordinates`` holds, for every method asked for, ``<method>_2d`` (float32 [n, 2]) and but for t-SNE
    ``<method>_3d`` (float32 [n, 3]); ``trustworthiness`` has the same keys, each in [0, 1] (Venna and Kaski 2001),
    measured on a sample of at most 1,000 rows; ``landmarks`` is the number of rows t-SNE and UMAP were fitted on.
    """

    coordinates: dict[str, np.ndarray]
    trustworthiness: dict[str, float]
    landmarks: int

    def columns(self) -> dict[str, np.ndarray]:
        """The coordinates axis by axis, as ``umap_2d_x``: float32 [n] each."""
        return {
            f"{name}_{axis}": values
            for name, drawn in self.coordinates.items()
            for axis, values in zip("xyz", drawn.T, strict=False)
        }


def reduce(vectors: np.ndarray, params: ReduceParams, seed: int, advance: Advance = silent) -> Maps:
    """Draw the maps of ``vectors`` (float [n, d], unit rows); ``advance`` counts maps.

    Raises:
        InputError: fewer than 5 rows, or values that are not finite.
    """
    rows = len(vectors)
    if rows < _MIN_ROWS:
        raise InputError(f"a map needs at least {_MIN_ROWS} rows and there are {rows}; add rows or leave maps out")
    random = np.random.default_rng(seed)
    landmarks = np.sort(random.choice(rows, min(rows, params.landmarks), replace=False))
    sample = np.sort(random.choice(rows, min(rows, 1000), replace=False))
    components = pca(vectors, _PCA_DIMENSIONS)
    coordinates: dict[str, np.ndarray] = {}
    if "pca" in params.methods:
        coordinates |= {"pca_2d": components[:, :2].copy(), "pca_3d": components[:, :3].copy()}
        advance(2)
    fitted = tuple(method for method in params.methods if method != "pca")
    if fitted:
        inputs = _with_jitter(components[landmarks], seed)
        places = _places(vectors[landmarks], vectors)
        graph, epochs = _neighbors(inputs), int(np.clip(_EPOCHS / len(inputs), 200, 500))
        for method in fitted:
            for dimensions in DIMENSIONS[method]:
                if method == "tsne":
                    drawn = _tsne(inputs, seed)
                else:
                    start = inputs[:, :dimensions]  # the PCA map
                    drawn = fit_umap(inputs, dimensions, graph, seed, n_epochs=epochs, init=start)
                coordinates[f"{method}_{dimensions}d"] = _place(drawn, landmarks, places)
                advance(1)
    trust = {name: _trustworthiness(vectors[sample], drawn[sample]) for name, drawn in coordinates.items()}
    return Maps(coordinates, trust, len(landmarks))


def pca(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """The first principal components of ``vectors`` (float [n, d]): float32 [n, dimensions].

    Exact, from the covariance matrix summed in blocks, so the memory beyond the result is d². Every component
    points where its largest loading is positive; components past d are zero.

    Raises:
        InputError: values that are not finite.
    """
    rows, width = vectors.shape
    blocks = range(0, rows, _BLOCK)
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((width, width))
    for start in blocks:
        block = vectors[start : start + _BLOCK] - mean
        covariance += block.T @ block
    if not np.isfinite(covariance).all():
        raise InputError("the vectors hold values that are not finite; embed the rows again or mend the vector column")
    count = min(dimensions, width)
    axes = longest_axes(covariance, count)
    components = np.zeros((rows, max(dimensions, 3)), dtype=np.float32)
    for start in blocks:
        components[start : start + _BLOCK, :count] = (vectors[start : start + _BLOCK] - mean) @ axes
    return components[:, :dimensions]


def longest_axes(products: np.ndarray, count: int) -> np.ndarray:
    """The first principal axes of a symmetric matrix (float64 [d, d]), float64 [d, count], the longest first.

    Each points where its largest loading is positive.
    """
    from scipy.linalg import eigh

    width = len(products)
    axes = eigh(products, subset_by_index=[width - count, width - 1])[1][:, ::-1]
    return np.asarray(axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)]))


def _with_jitter(components: np.ndarray, seed: int) -> np.ndarray:
    """The components with noise a ten-thousandth of their scale: identical rows have no direction to part in."""
    scale = float(components[:, 0].std()) or 1.0
    noise = np.random.default_rng(seed).standard_normal(components.shape)
    return np.asarray(components + 1e-4 * scale * noise, dtype=np.float32)


def _places(landmarks: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every row of ``vectors`` its nearest landmarks by cosine, at most 3 (int32 [n, 3]), and their weights."""
    near, similarity = nearest(landmarks, vectors, min(_PLACED_BY, len(landmarks)))
    weights = np.maximum(similarity, 1e-6)
    return near, weights / weights.sum(axis=1, keepdims=True)


def _place(fitted: np.ndarray, landmarks: np.ndarray, places: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A map of all rows from the map of the landmarks: the others at the weighted mean of their landmarks."""
    near, weights = places
    drawn = np.empty((len(near), fitted.shape[1]), dtype=np.float32)
    for axis in range(fitted.shape[1]):
        drawn[:, axis] = (fitted[:, axis][near] * weights).sum(axis=1)
    drawn[landmarks] = fitted
    return drawn


def place(drawn: np.ndarray, vectors: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Coordinates for rows that came after the maps were drawn, float32 [m, columns]: no map is drawn anew for them.

    Args:
        drawn: float32 [n, columns], the coordinates of the rows on the maps, all maps side by side.
        vectors: float32 [n, d], their unit vectors; ``added``: float32 [m, d], those of the new rows.
    """
    near, weights = _places(vectors, added)
    return np.asarray(np.einsum("mk,mkc->mc", weights, drawn[near]), dtype=np.float32)


def _tsne(inputs: np.ndarray, seed: int) -> np.ndarray:
    """t-SNE by Barnes-Hut (van der Maaten 2014), float32 [n, 2], started from PCA scaled to 1e-4."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    model = TSNE(
        2,
        perplexity=min(30.0, (len(inputs) - 1) / 3),
        init=inputs[:, :2] / inputs[:, 0].std() * 1e-4,
        early_exaggeration=4.0,  # as van der Maaten and Hinton 2008; 12 tears maps of a few dozen rows apart …
        learning_rate=max(10.0, len(inputs) / 48),  # … as does scikit-learn's least rate, 50
        max_iter=400,  # on sentence embeddings 500 and 1,000 gave the same trustworthiness, within 0.003, …
        angle=0.7,  # … as did 0.5, with which a step takes a quarter longer
        random_state=seed,
    )
    # One thread: the gradient's sum would otherwise depend on the number of cores, and on a busy machine
    # the threads wait for each other longer than they work.
    with threadpool_limits(1):
        return np.asarray(model.fit_transform(inputs), dtype=np.float32)


def _neighbors(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest rows of every row and their distances, as UMAP counts them: each row is its own first."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=min(_UMAP_NEIGHBORS, len(inputs) - 1), algorithm="brute").fit(inputs)
    distances, indices = model.kneighbors(inputs)
    return indices.astype(np.int32), distances.astype(np.float32)


def fit_umap(
    inputs: np.ndarray, dimensions: int, graph: tuple[np.ndarray, np.ndarray], seed: int, **options: Any
) -> np.ndarray:
    """UMAP (McInnes et al. 2018) of ``inputs`` (float [n, d]) over a given graph, float32 [n, dimensions].

    ``graph``: the neighbours of each row, itself the first, and their distances.
    """
    model = _umap()(
        n_components=dimensions,
        n_neighbors=graph[0].shape[1],
        precomputed_knn=graph,
        random_state=seed,
        n_jobs=1,
        **options,
    )
    with without_index():
        return np.asarray(model.fit_transform(inputs), dtype=np.float32)


@contextlib.contextmanager
def without_index() -> Iterator[None]:
    """Leave unsaid that UMAP can place no other rows, as they are placed here. Threads begin and end in the block:
    what one of them has unsaid, another would have said again."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]", category=UserWarning)
        yield


@cache
def _umap() -> Any:
    """The class of UMAP. Its machine code, which takes seconds to make, is kept on disk for the next process, and runs
    without the interpreter's lock."""
    numba_cache()
    import pynndescent  # noqa: F401  # first: it keeps its own as it wants to

    with warnings.catch_warnings(), _kernels_kept():
        # Said on import where TensorFlow is absent, about a variant that is not used here.
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        from umap import UMAP
    return UMAP


@contextlib.contextmanager
def _kernels_kept() -> Iterator[None]:
    """Within the block kernels are kept and run as those of ``compiled.kernel``, whatever their package says."""
    import numba

    njit = numba.njit
    numba.njit = partial(njit, cache=True, nogil=True)  # type: ignore[assignment]
    try:
        yield
    finally:
        numba.njit = njit


def load_libraries() -> None:
    """Import what draws the maps, which takes seconds, before there is anything to draw."""
    settle_sklearn()
    import sklearn.manifold  # noqa: F401

    _umap()


def _trustworthiness(vectors: np.ndarray, drawn: np.ndarray) -> float:
    """How far near rows on the map are near in truth (cosine), over 10 neighbours (fewer in a tiny sample)."""
    from sklearn.manifold import trustworthiness

    neighbors = min(10, (len(vectors) - 1) // 2)
    return round(float(trustworthiness(vectors, drawn, n_neighbors=neighbors, metric="cosine")), 6)


def _with_maps(frame: pl.DataFrame, params: ReduceParams, seed: int) -> pl.DataFrame:
    columns = reduce(table_vectors(frame), params, seed).columns()
    return frame.with_columns(pl.Series(name, values) for name, values in columns.items())


TOOL = TableTool("reduce", on_table=_with_maps, needs="vector")
