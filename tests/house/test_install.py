"""The tests run against what a wheel installed, and two installs agree."""

import sysconfig
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import recryst

ROOT = Path(__file__).parents[2]


def test_the_tests_run_against_the_installed_package() -> None:
    installed = Path(sysconfig.get_path("purelib")) / "recryst" / "__init__.py"
    assert Path(recryst.__file__) == installed, "not the installed package: run the tests by `make test`"


def test_every_requirement_is_pinned_at_the_installed_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {canonicalize_name(Requirement(item).name) for item in asked} <= {canonicalize_name(name) for name in pins}
    # A local version, as in 2.13.0+cpu, is the same release built for one kind of machine.
    assert {name: version(name).split("+")[0] for name in pins} == pins
