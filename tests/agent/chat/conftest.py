"""Rows to talk about, and no embedding model."""

import numpy as np
import polars as pl
import pytest


@pytest.fixture(scope="session")
def six_groups(tmp_path_factory):
    """A file of 120 rows in six groups, with vectors: ``six_groups(text)``, where ``text`` tells that of each row.

    Ids and labels are words that occur nowhere else.
    """

    def written(text):
        rng = np.random.default_rng(0)
        groups = rng.integers(0, 6, 120)
        vectors = rng.standard_normal((6, 8))[groups] + 0.4 * rng.standard_normal((120, 8))
        columns = {
            "id": [f"zebra-{n}" for n in range(120)],
            "text": [text(n, group) for n, group in enumerate(groups)],
            "label": [f"tapir{group}" for group in groups],
            "vector": vectors.tolist(),
        }
        path = tmp_path_factory.mktemp("groups") / "rows.parquet"
        pl.DataFrame(columns).write_parquet(path)
        return path

    return written


@pytest.fixture(scope="session")
def data(six_groups):
    """Rows whose words occur nowhere else."""
    return six_groups(lambda n, group: f"okapi {n} of quagga {group}")
