"""What libraries are told, in processes of their own; and how such a process ends."""

import os
import platform
import subprocess
import sys

import pytest

from recryst.tools.cores import cores


def test_no_library_takes_more_threads_than_the_user_said():
    """Numba's threads set those of OpenMP, and so of torch: with two busy workers each product waited for its turn."""
    program = "from recryst.tools.program import settle_libraries; settle_libraries()\n"
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
    program += "f(9)\nfrom recryst.tools.program import settle_libraries\nsettle_libraries()\n"
    program += "print(njit(lambda x: x + 1)(1))"
    words = [sys.executable, "-P", "-c", program]
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {"NUMBA_NUM_THREADS": "3"}
    done = subprocess.run(words, env={**env, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"]


def test_pandas_is_loaded_where_a_data_frame_is_wanted_and_not_before():
    program = """
import sys
from recryst.tools.program import settle_arrow, settle_program, settle_sklearn
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
from recryst.tools.program import settle_program
settle_program()
from recryst.tools.text.tokens import _spacy
assert [str(token) for token in _spacy()("I can't.")] == ["I", "ca", "n't", "."]
assert "spacy.cli" not in sys.modules
import spacy.cli
assert spacy.cli.info.__module__ == "spacy.cli.info"
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_kernels_load_without_scipys_linear_algebra_and_multiply_with_it():
    program = """
import sys
from recryst.tools.program import settle_program
settle_program()
import numpy as np
from recryst.tools.repeats.shingles import overlap
assert overlap(np.array([1, 3], dtype=np.uint64), np.array([3], dtype=np.uint64)) == 1
assert "scipy.linalg" not in sys.modules
from numba import njit
assert njit(lambda one: np.dot(one, one))(np.ones(3)) == 3.0
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_threads_share_a_heap_a_core():
    """Each with one of its own, what is freed in one is of no use to another, and memory grows by a third."""
    program = """
import ctypes, sys, threading
from recryst.tools.program import settle_program
from recryst.tools.cores import cores
if len(sys.argv) > 1:
    settle_program()
there, held = threading.Barrier(8 * cores() + 1), []
def hold():
    held.append(bytes(5000))
    there.wait()
threads = [threading.Thread(target=hold) for _ in range(8 * cores())]
for thread in threads:
    thread.start()
there.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library has heaps of another kind")
    env = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    words, heaps = [sys.executable, "-P", "-c", program], list[int]()
    for told in ([], ["settled"]):
        done = subprocess.run([*words, *told], env=env, capture_output=True, text=True, check=True)
        heaps.append(done.stdout.count("<heap nr="))
    assert heaps[1] <= cores() < heaps[0]


def test_a_process_leaves_with_its_code_and_output_after_what_was_to_be_called():
    program = """
import atexit, sys, threading, time
from recryst.tools.program import leave, settle_program
settle_program()
class Last:
    def __del__(self):
        print("taken apart")
kept = Last()
atexit.register(print, "called")
threading.Thread(target=lambda: (time.sleep(0.2), print("waited for"))).start()
{end}
"""
    for end, code, said in (
        ("leave(3)", 3, ["waited for", "called"]),
        ("raise SystemExit(4)", 4, ["waited for", "called", "taken apart"]),
        ("raise ValueError", 1, ["waited for", "called", "taken apart"]),
    ):
        words = [sys.executable, "-P", "-c", program.format(end=end)]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        assert (done.returncode, done.stdout.splitlines()) == (code, said)
