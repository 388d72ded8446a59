"""The data sets that experiments read; they lie outside the repository, in the folder given as ``--data``."""

import csv
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from ..state.errors import InputError
from ..state.params.preparation import LoadParams
from ..state.params.vectors import EmbedParams
from ..tools.read.load import load
from ..tools.vectors.embed import VectorCache, embed, open_encoder


def existing(data: Path, name: str) -> Path:
    """The file ``name`` of the data folder.

    Raises:
        InputError: it is not there.
    """
    path = data / name
    if not path.is_file():
        raise InputError(f"{path} does not exist; this experiment needs it")
    return path


def banking77(data: Path, rows: int, seed: int = 0) -> pl.DataFrame:
    """A sample of the questions of Banking77 (Casanueva et al. 2020): ``id``, ``text``, ``category``, in file order."""
    with existing(data, "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        read = [(f"b{number}", row["text"].strip(), row["category"]) for number, row in enumerate(csv.DictReader(file))]
    frame = pl.DataFrame(read, schema=["id", "text", "category"], orient="row").unique("text", maintain_order=True)
    chosen = np.random.default_rng(seed).choice(frame.height, min(rows, frame.height), replace=False)
    return frame[np.sort(chosen)]


def loaded(source: Path, limit: int | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows and the originals of a file, as loading gives them to a user; ``limit``: at most so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        result = load(str(source), LoadParams(limit=limit), Path(folder))
        return pl.read_parquet(result.rows), pl.read_parquet(result.originals, memory_map=False)


def with_vectors(frame: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """``frame`` with a column ``vector`` of its texts' embeddings by the embedded model; ``folder`` is the cache."""
    params = EmbedParams()
    encoder = open_encoder(params)
    cache = VectorCache(folder, encoder.name, encoder.dimensions)
    vectors = embed(frame["text"], encoder, cache, params).vectors
    return frame.with_columns(
        vector=pl.Series(np.asarray(vectors), dtype=pl.Array(pl.Float32, encoder.dimensions)).arr.to_list()
    )
