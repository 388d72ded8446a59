"""Rows to work on, and a run of them that waits for a person."""

import shutil

import numpy as np
import polars as pl
import pytest
from conversing import conversation, create
from hostile import HOSTILE


@pytest.fixture(scope="session")
def crude(tmp_path_factory):
    """A folder with 150 rows in six groups with vectors; some labels wrong, some texts hostile."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 6, 150)
    vectors = rng.standard_normal((6, 8))[groups] + 0.4 * rng.standard_normal((150, 8))
    texts = [HOSTILE[n] if n < len(HOSTILE) else f"okapi {n} of quagga {group}" for n, group in enumerate(groups)]
    labels = [f"tapir {(group + (n % 11 == 7)) % 6}" for n, group in enumerate(groups)]
    folder = tmp_path_factory.mktemp("crude")
    frame = {"id": [f"zebra {n}" for n in range(150)], "text": texts, "label": labels, "vector": vectors.tolist()}
    pl.DataFrame(frame).write_parquet(folder / "rows.parquet")
    return folder


@pytest.fixture(scope="session")
def begun(crude, tmp_path_factory):
    """A run that waits with its first proposal."""
    root = create(crude / "rows.parquet", tmp_path_factory.mktemp("begun") / "run")
    with conversation(root):
        pass
    return root


@pytest.fixture
def root(begun, tmp_path):
    """A copy of it below a folder that a server serves, by the name ``run``."""
    return shutil.copytree(begun, tmp_path / "runs" / "run")
