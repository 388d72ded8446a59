"""An export onto a disk that is really full says so in one sentence, and the model that lay there is whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recryst.state.params.final_model import TrainParams
from recryst.tools.model.train import train

pytestmark = pytest.mark.usefixtures("one_thread")

PARAMS = TrainParams(vocab_size=400, hidden_size=64, layers=2, heads=2, context=32, batch_size=8, tokens=1000)
# In a process of its own: the disk is mounted for that one alone, and so is the limit of a file's size.
CHILD = """
import os, resource, sys
from pathlib import Path
from recryst.state.errors import StorageError
from recryst.tools.model.quantise import export

PAGE = 4096
disk, dense = map(Path, sys.argv[1:])

def held():
    return {path.relative_to(disk): path.read_bytes() for path in disk.rglob("*") if path.is_file()}

def fails(name, before):
    try:
        export(dense, name, disk / name)
        print(name, "is said to be written")
    except StorageError as error:
        print(name, error)
    (disk / "filler").unlink(missing_ok=True)
    assert held() == before, name

def fill(pages):
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            file.truncate(file.tell() // PAGE * PAGE - pages * PAGE)

for name in ("nf4", "int8", "f16", "q8_0", "q4_0"):
    export(dense, name, disk / name)
    before = held()
    sizes = [len(content) for path, content in before.items() if path.parts[0] == name]
    taken = sum(-(-size // PAGE) for size in sizes)
    for room in (taken // 2, taken - 1):
        fill(room)
        fails(name, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) - 1, resource.RLIM_INFINITY))  # one byte too few
    fails(name, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
_MOUNT = 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"'


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [f"The chemist weighs {number} crystals before dawn." for number in range(200)]
    return train(rows, PARAMS, tmp_path_factory.mktemp("full") / "model", seed=0).path


def test_no_format_replaces_a_good_model_by_half_of_one(dense: Path, tmp_path: Path) -> None:
    mounted = ("unshare", "-rm", "bash", "-c", _MOUNT, str(tmp_path))
    if shutil.which("unshare") is None or subprocess.run([*mounted, "true"], check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    child = [*mounted, sys.executable, "-P", "-c", CHILD, str(tmp_path), str(dense)]
    done = subprocess.run(child, capture_output=True, text=True, check=False, timeout=600, env=os.environ)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 15
    for number, line in enumerate(said):
        name = line.split()[0]
        where = f"writing a model to {tmp_path / name}: "
        full, cut = f"{name} disk full while {where}free some space", f"{name} cannot finish {where}File too large"
        assert line.startswith(cut if number % 3 == 2 else full)
