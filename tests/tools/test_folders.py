"""Where Numba keeps its machine code when neither the packages nor the home can be written to."""

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
