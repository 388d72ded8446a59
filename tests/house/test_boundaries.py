"""The import table of the house, read from the source, and what the command line may load before it has work."""

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("state", "prompts", "tools", "agent", "evals")
# Which other folders a folder may import; "" is the package itself (its __version__, and the Python API).
ALLOWED = {
    "": {"agent"},  # the Python API, imported when it is used
    "state": set(),
    "prompts": set(),
    "tools": {"state"},
    "agent": {"", "tools", "prompts", "state"},
    "evals": {"", *FOLDERS},
}
HEAVY = {
    "accelerate", "bitsandbytes", "datasets", "datasketch", "hdbscan", "langgraph", "numba", "plotly", "pynndescent",
    "sentence_transformers", "sklearn", "torch", "transformers", "umap",
}  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One import of ours: the dotted module it reaches, "" for the package itself."""

    where: str
    target: str
    at_load: bool  # runs when the importing module is loaded


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below ``recryst``; "" is the package itself."""
    found = {"": ROOT / "__init__.py"}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def statements(node: ast.AST, at_load: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below ``node``, and whether loading the module runs it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_load
            continue
        deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        )
        yield from statements(child, at_load and not deferred)


def own_imports(name: str) -> Iterator[Import]:
    """The imports by which module ``name`` reaches modules of the package.

    Raises:
        AssertionError: it reaches them by an absolute import, or climbs out of the package.
    """
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    package = [part for part in package if part]
    for statement, at_load in statements(ast.parse(path.read_bytes())):
        where = f"{path.relative_to(ROOT)}:{statement.lineno}"
        if isinstance(statement, ast.Import) or statement.level == 0:
            named = [a.name for a in statement.names] if isinstance(statement, ast.Import) else [statement.module or ""]
            for absolute in named:
                assert absolute.split(".")[0] not in {"recryst", *FOLDERS}, f"{where}: {absolute} by absolute import"
            continue
        assert statement.level - 1 <= len(package), f"{where}: the import climbs out of the package"
        base = package[: len(package) - statement.level + 1] + (statement.module or "").split(".")
        base = [part for part in base if part]
        for alias in statement.names:
            deeper = ".".join([*base, alias.name])
            yield Import(where, deeper if deeper in MODULES else ".".join(base), at_load)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_the_table_allows(name: str) -> None:
    folder = name.split(".")[0]
    for found in own_imports(name):
        target = found.target.split(".")[0]
        assert target == folder or target in ALLOWED[folder], f"{found.where}: {folder} may not import {target}"
        assert found.target in MODULES, f"{found.where}: there is no module {found.target}"


def test_every_folder_with_modules_is_in_the_table() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders <= set(FOLDERS), "a folder at the top that the import table does not know"


def test_no_folder_holds_more_than_a_reader_takes_in() -> None:
    folders: dict[Path, int] = {}
    for path in MODULES.values():
        folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {folder.name: modules for folder, modules in folders.items() if modules > 16} == {}
    assert folders[ROOT / "agent"] <= 6


def test_loading_has_no_cycle() -> None:
    graph = {name: {i.target for i in own_imports(name) if i.at_load} - {name} for name in MODULES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("modules import each other in a circle: " + " ← ".join(error.args[1]))


def test_importing_the_package_loads_nothing_that_it_does_not_use_yet(tmp_path: Path) -> None:
    code = "import recryst, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.startswith("recryst.")] == []
    assert {*HEAVY, "numpy", "pandas", "polars", "pyarrow", "pydantic", "rich"} & set(loaded) == set()


@pytest.mark.parametrize(
    "code",
    [
        "import recryst.agent.cli",
        "from recryst.agent.registry import offered; [one.load() for one in offered('python')]",
    ],
    ids=["the command line", "the list of tools"],
)
def test_help_and_errors_do_not_wait_for_heavy_libraries(code: str, tmp_path: Path) -> None:
    code += "; import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(json.loads(done.stdout)) == set()
