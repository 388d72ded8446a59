"""Where Numba keeps its machine code when neither the packages nor the home can be written to; and its threads."""

import os
import subprocess
import sys

import pytest

# In a container under another user neither the folder of the packages nor that of the user may be written to. A test
# run by root can write to both, so the first is taken from Numba, and the second cannot be.
READ_ONLY = """
import os, sys, tempfile
from pathlib import Path
{early}
from recryst.tools.folders import numba_cache
numba_cache()
from numba.core import caching
caching.CacheImpl._locator_classes = [one for one in caching.CacheImpl._locator_classes if "Tree" not in one.__name__]
{use}
folder = Path(os.environ["NUMBA_CACHE_DIR"])
print(folder.relative_to(tempfile.gettempdir()), oct(folder.stat().st_mode & 0o777), any(folder.rglob("*.nbi")))
"""
KEPT = """
from numba import njit
from recryst.tools.text.segments import _walk
types = "int64[::1](uint64[::1],int64[::1],int64[::1],int64[::1],int64)"
njit(types, cache=True)(_walk.__wrapped__)
"""


@pytest.mark.parametrize("early", ["", "import numba"], ids=["numba comes later", "numba is there already"])
def test_kernels_are_kept_in_a_private_temporary_folder(tmp_path, early):
    """Of a kernel that is to be kept Numba makes an error where it finds no folder, as umap-learn's when imported."""
    env = {**os.environ, "HOME": "/dev/null/nobody", "TMPDIR": str(tmp_path)}
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        env.pop(name, None)
    program = READ_ONLY.format(early=early, use=KEPT)
    done = subprocess.run([sys.executable, "-P", "-c", program], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [f"recryst-numba-{os.geteuid()}", "0o700", "True"]


def test_what_the_user_set_or_can_write_to_stays(tmp_path):
    program = "import os; from recryst.tools.folders import numba_cache; numba_cache(); "
    program += "print(os.environ.get('NUMBA_CACHE_DIR'))"
    for given, expected in (({"NUMBA_CACHE_DIR": "/here"}, "/here"), ({"HOME": str(tmp_path)}, "None")):
        env = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
        words = [sys.executable, "-P", "-c", program]
        done = subprocess.run(words, env={**env, **given}, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
    assert list(tmp_path.iterdir()) == []


def test_no_library_takes_more_threads_than_the_user_said():
    """Numba's threads set those of OpenMP, and so of torch: with two busy workers each product waited for its turn."""
    program = "from recryst.tools.folders import settle_libraries; settle_libraries()\n"
    program += "import torch\nimport polars as pl\nfrom recryst.tools.repeats.minhash import signatures\n"
    program += "from recryst.state.params.preparation import DedupParams\n"
    program += "signatures(pl.Series(['a b']), DedupParams())\n"
    program += "from numba import get_num_threads\nprint(get_num_threads(), torch.get_num_threads())"
    words = [sys.executable, "-P", "-c", program]
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    done = subprocess.run(words, env={**env, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]


def test_numbas_threads_are_left_as_they_are_once_they_run():
    """In a notebook they may: Numba then compiles nothing more where the environment has come to say another number."""
    program = "import numba\nfrom numba import njit, prange\n"
    program += "@njit(parallel=True)\ndef f(n):\n    s = 0\n    for i in prange(n):\n        s += i\n    return s\n"
    program += "f(9)\nfrom recryst.tools.folders import settle_libraries\nsettle_libraries()\n"
    program += "print(njit(lambda x: x + 1)(1))"
    words = [sys.executable, "-P", "-c", program]
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {"NUMBA_NUM_THREADS": "3"}
    done = subprocess.run(words, env={**env, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"]


def test_pandas_is_loaded_where_a_data_frame_is_wanted_and_not_before():
    program = """
import sys
from recryst.tools.folders import settle_arrow, settle_program, settle_sklearn
settle_program()
settle_arrow()
import pyarrow as pa
column = pa.array(["a", "b"])
settle_sklearn()
from sklearn.cluster import KMeans
assert "pandas" not in sys.modules
assert pa.table({"column": column}).to_pandas()["column"].tolist() == ["a", "b"]
import pandas
assert KMeans(1).fit(pandas.DataFrame({"x": [0.0, 2.0]})).cluster_centers_.tolist() == [[1.0]]
assert pa.array(pandas.Series([1.0, None])).to_pylist() == [1.0, None]
assert pa.Table.from_pandas(pandas.DataFrame({"column": ["a", "b"]}))["column"].to_pylist() == ["a", "b"]
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_spacy_splits_without_its_commands_and_has_them_where_they_are_wanted():
    program = """
import sys
from recryst.tools.folders import settle_program
settle_program()
from recryst.tools.text.tokens import _spacy
assert [str(token) for token in _spacy()("I can't.")] == ["I", "ca", "n't", "."]
assert "spacy.cli" not in sys.modules
import spacy.cli
assert spacy.cli.info.__module__ == "spacy.cli.info"
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
