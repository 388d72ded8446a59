"""``recryst tool select``: so many rows of a table by one of the strategies."""

import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from ....state.errors import InputError, UsageError
from ....state.params.preparation import LoadParams
from ....state.params.selection import SelectionStrategy, SelectParams
from ....state.params.vectors import ClusterParams
from ...table_tool import TableTool
from ...threads import one_thread
from ...vectors.cluster import cluster
from ...vectors.embed import table_vectors
from . import hierarchy, places, redundancy, spread, target, weighted


class _Table:
    """What the strategies ask of a table, made when it is asked for."""

    def __init__(self, frame: pl.DataFrame, params: SelectParams, seed: int) -> None:
        self.frame, self.params, self.seed = frame, params, seed
        self.vectors = table_vectors(frame) if params.strategy not in ("dsir", "quality") else np.empty((0, 0))

    def clustered(self, vectors: np.ndarray) -> np.ndarray:
        """Clusters of some vectors (float32 [m, d]), int32 [m]."""
        return cluster(vectors, ClusterParams(k=self.params.k), self.seed).labels

    def labels(self) -> np.ndarray:
        """The column ``cluster``, or else a clustering: int [n]."""
        if "cluster" not in self.frame.columns:
            return self.clustered(self.vectors)
        return self.frame["cluster"].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()

    def quality(self) -> np.ndarray:
        """The column ``quality``, float64 [n]."""
        name = "quality"
        if name not in self.frame.columns or not self.frame[name].dtype.is_numeric():
            has = ", ".join(self.frame.columns)
            raise InputError(f"strategy={self.params.strategy} goes by a column 'quality' of numbers; there is {has}")
        found = self.frame[name].cast(pl.Float64).to_numpy()
        if not np.isfinite(found).all():
            row = int(np.argmin(np.isfinite(found)))
            raise InputError(f"column 'quality': row {row} has no finite number")
        return found

    def density(self) -> np.ndarray:
        """An estimate of the density about each row, float64 [n]."""
        return weighted.density(self.vectors, self.seed)

    def texts(self) -> pl.Series:
        """The column ``text``, strings [n]."""
        if "text" not in self.frame.columns or self.frame["text"].dtype != pl.String:
            raise InputError("strategy=dsir goes by a column `text`: name the text column so")
        return self.frame["text"]

    def target(self) -> Path:
        """The file that tells what the rows are to be like."""
        if self.params.target is None:
            raise UsageError(f"strategy={self.params.strategy} needs --set target=FILE: what rows are to be like")
        return Path(self.params.target)


def _furthest(table: _Table, size: int) -> np.ndarray:
    labels = table.labels()
    return places.furthest(places.to_centroid(table.vectors, labels), labels, size)


def _closest(table: _Table, size: int) -> np.ndarray:
    labels = table.labels()
    return places.closest(places.to_centroid(table.vectors, labels), labels, size)


def _semdedup(table: _Table, size: int) -> np.ndarray:
    return redundancy.semdedup(table.vectors, table.labels(), size)


def _d4(table: _Table, size: int) -> np.ndarray:
    return redundancy.d4(table.vectors, table.labels(), size, table.clustered)


def _k_center(table: _Table, size: int) -> np.ndarray:
    whole = len(table.vectors) * size <= spread.WHOLE
    return spread.k_center(table.vectors, size, None if whole else table.clustered(table.vectors))


def _facility_location(table: _Table, size: int) -> np.ndarray:
    return spread.facility_location(table.vectors, size, table.labels(), table.seed)


def _weighted(table: _Table, size: int, by: tuple[str, ...]) -> np.ndarray:
    weights = np.zeros(table.frame.height)
    if "quality" in by:
        weights += weighted.better_first(table.quality())
    if "density" in by:
        weights += weighted.sparse_first(table.density())
    return weighted.drawn(weights, size, table.seed)


def _hierarchical(table: _Table, size: int) -> np.ndarray:
    levels = table.params.levels or hierarchy.levels_of(len(table.vectors))
    if any(one < 1 for one in levels) or any(one <= other for one, other in pairwise(levels)):
        raise UsageError(f"levels={list(levels)} must fall from the lowest level to the highest, as in [1500, 300, 60]")
    return hierarchy.balanced(
        hierarchy.hierarchy(table.vectors, levels, table.params.resampled, table.seed), size, table.seed
    )


def _dsir(table: _Table, size: int) -> np.ndarray:
    return target.dsir(table.texts(), _texts_of(table.target()), size, table.seed)


def _nearest(table: _Table, size: int) -> np.ndarray:
    path = table.target()
    try:
        wanted = table_vectors(pl.read_parquet(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"target {path} cannot be read as Parquet with a column `vector`: {said}") from error
    except InputError as error:
        raise InputError(f"target {path}: {error}") from error
    if not len(wanted):
        raise InputError(f"target {path} holds no row")
    if len(table.vectors) and wanted.shape[1] != table.vectors.shape[1]:
        are = f"{wanted.shape[1]} dimensions and those of the table {table.vectors.shape[1]}"
        raise InputError(f"target {path}: its vectors have {are}; embed both with one model")
    return target.nearest_to(table.vectors, wanted, size)


_CHOOSING: dict[SelectionStrategy, Callable[[_Table, int], np.ndarray]] = {
    "furthest": _furthest,
    "closest": _closest,
    "random": lambda table, size: places.any_of_each(table.labels(), size, table.seed),
    "semdedup": _semdedup,
    "d4": _d4,
    "k_center": _k_center,
    "facility_location": _facility_location,
    "density": partial(_weighted, by=("density",)),
    "quality": partial(_weighted, by=("quality",)),
    "density_quality": partial(_weighted, by=("density", "quality")),
    "hierarchical": _hierarchical,
    "dsir": _dsir,
    "nearest": _nearest,
}


def chosen(frame: pl.DataFrame, params: SelectParams, seed: int) -> np.ndarray:
    """The rows of a table that a strategy keeps, int64 [size], ascending.

    Args:
        frame: a table with the columns that the strategy goes by (``vector``, ``cluster``, ``quality``, ``text``).
        params: the strategy and the size.
        seed: of what is drawn, and of the clustering.

    Raises:
        InputError: a column or the target is missing or unfit, or more rows are to be kept than there are.
        UsageError: a setting that the strategy needs is missing.
    """
    size = _size(params.keep, frame.height)
    table = _Table(frame, params, seed)
    with one_thread():
        return _CHOOSING[params.strategy](table, size)


def _size(keep: float | int, rows: int) -> int:
    """How many rows stay of so many."""
    if isinstance(keep, int):
        if keep > rows:
            raise InputError(f"keep={keep:,}, and the table has {rows:,} rows; keep fewer, or a share as in 10%")
        return keep
    return max(min(rows, 1), round(keep * rows))


def _texts_of(path: Path) -> pl.Series:
    """The texts of a file that ``load`` reads, strings [m]."""
    from ...read.load import load

    with tempfile.TemporaryDirectory() as folder:
        return pl.read_parquet(load(str(path), LoadParams(), Path(folder)).rows, columns=["text"])["text"]


def _kept(frame: pl.DataFrame, params: SelectParams, seed: int) -> pl.DataFrame:
    return frame[chosen(frame, params, seed)]


TOOL = TableTool("select", on_table=_kept, needs="", options=("keep",))
