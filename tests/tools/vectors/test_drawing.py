"""Maps drawn by another process: the same as here, and nothing is left of it."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from recryst.state.params.vectors import ReduceParams
from recryst.tools.vectors.drawing import Drawing
from recryst.tools.vectors.reduce import reduce

PARAMS = ReduceParams(methods=("tsne",))


@pytest.fixture
def vectors(tmp_path):
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return tmp_path / "vectors.npy"


def test_the_maps_are_those_that_this_process_draws(vectors, tmp_path):
    drawing = Drawing()
    drawing.begin(vectors, PARAMS, 3, tmp_path / "made")
    drawing.begin(tmp_path / "others.npy", PARAMS, 3, tmp_path / "made")  # they are on their way
    found, own = drawing.maps(), reduce(np.load(vectors), PARAMS, 3)
    assert found is not None
    assert (found.trustworthiness, found.landmarks) == (own.trustworthiness, 60)
    assert {name: drawn.tobytes() for name, drawn in found.coordinates.items()} == {
        "tsne_2d": own.coordinates["tsne_2d"].tobytes()
    }
    assert list((tmp_path / "made").iterdir()) == []


def test_a_process_that_fails_or_has_nothing_to_do_gives_no_maps(tmp_path):
    failing, idle = Drawing(), Drawing()
    failing.begin(tmp_path / "missing.npy", PARAMS, 0, tmp_path)
    assert failing.maps() is None
    assert idle.maps() is None
    assert idle._process.poll() is not None


@pytest.mark.parametrize("begun", [False, True])
def test_the_process_ends_with_the_one_that_started_it(begun, vectors, tmp_path):
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from recryst.state.params.vectors import ReduceParams\n"
        "from recryst.tools.vectors.drawing import Drawing\n"
        "drawing = Drawing()\n"
        f"wanted = Path({str(vectors)!r}), ReduceParams(methods=('umap',)), 0, Path({str(tmp_path)!r})\n"
        f"if {begun}: drawing.begin(*wanted)\n"
        "print(drawing._process.pid, flush=True)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    until = time.monotonic() + 30
    while _runs(int(done.stdout)):
        assert time.monotonic() < until, "it runs on"
        time.sleep(0.05)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
