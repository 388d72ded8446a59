"""The wheel holds the package, wholly and alone."""

import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import recryst

ROOT = Path(__file__).parents[2]
FOLDERS = ("state", "prompts", "tools", "agent", "evals")
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}
NOT_SOURCE = shutil.ignore_patterns(
    ".*", "__pycache__", "*.pyc", "build", "dist", "*.egg-info", "runs", "node_modules", "tests"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with a folder name that is no package name, and the dregs of an earlier build in it."""
    copy = tmp_path_factory.mktemp("house") / "x-1.y"
    shutil.copytree(ROOT, copy, ignore=NOT_SOURCE)
    for dregs in ("build/lib/recryst/state/gone.py", "build/lib/tests/test_gone.py", "recryst.egg-info/SOURCES.txt"):
        path = copy / dregs
        path.parent.mkdir(parents=True)
        path.write_text("state/gone.py\nbuild/lib/recryst/state/gone.py\n" if path.suffix == ".txt" else "")
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path) -> set[str]:
    """The names in the wheel that `make wheel` builds, with this interpreter in the place of .venv's."""
    (tree / ".venv").mkdir()
    (tree / ".venv/.created").touch()
    command = ["make", "-C", str(tree), "wheel", f"PY={shlex.quote(sys.executable)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tree.glob("build")) + list(tree.glob("*.egg-info")), "make wheel leaves its build folder behind"
    (path,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_file_of_the_package_and_nothing_else(tree: Path, wheel: set[str]) -> None:
    files = [tree / "__init__.py", tree / "py.typed"]
    files += [path for folder in FOLDERS for path in (tree / folder).rglob("*") if path.is_file()]
    expected = {f"recryst/{path.relative_to(tree)}" for path in files}
    packed = {name for name in wheel if ".dist-info/" not in name}
    assert sorted(expected - packed) == [], "missing: name their folder in pyproject.toml, [tool.setuptools]"
    assert sorted(packed - expected) == [], "packed, and not in the tree"


def test_wheel_adds_only_recryst_to_an_environment(wheel: set[str]) -> None:
    information = f"recryst-{recryst.__version__}.dist-info"
    assert {name.split("/")[0] for name in wheel} == {"recryst", information}
    assert {name.removeprefix(information + "/") for name in wheel if name.startswith(information)} == METADATA
