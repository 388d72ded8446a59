"""Rows that come with vectors, so that a run of them loads no embedding model."""

import numpy as np
import polars as pl
import pytest


@pytest.fixture(scope="session")
def vectors(tmp_path_factory):
    """240 rows in four groups, with ``vector``, ``text`` and ``group``."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, 240)
    points = np.eye(4, 8)[group] + 0.1 * rng.standard_normal((240, 8))
    texts = [f"question {number} of group {of}" for number, of in enumerate(group)]
    frame = pl.DataFrame({"text": texts, "group": group.astype(str), "vector": points.tolist()})
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    frame.write_parquet(path)
    return path
