"""Rows to talk about, and no embedding model."""

import shutil

import numpy as np
import polars as pl
import pytest
from conversing import conversation, create


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


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory):
    """A run that waits with its first proposal."""
    root = create(data, tmp_path_factory.mktemp("begun") / "run")
    with conversation(root):
        pass
    return root


@pytest.fixture
def root(begun, tmp_path):
    """A copy of it, to go on with."""
    return shutil.copytree(begun, tmp_path / "run")
