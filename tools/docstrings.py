"""The demo's data: the docstrings of the installed Python standard library.

Real text that stands on every machine, with real duplicates, boilerplate and a long tail. The sources are parsed,
never imported, so that no code of theirs runs.
"""

import ast
import sysconfig
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson

_TESTS = {"test", "tests", "idle_test"}
_OF_A_FILE, _LEAST_LINES, _MOST_LINES = 8, 3, 25  # functions of a file, lines of a function


def write_docstrings(path: Path) -> int:
    """Write ``read_docstrings`` to ``path`` as JSON Lines; returns the number of rows."""
    rows = read_docstrings()
    with path.open("wb") as target:
        target.writelines(orjson.dumps(row) + b"\n" for row in rows)
    return len(rows)


def read_docstrings() -> list[dict[str, str]]:
    """The standard library's docstrings.

    Each row has ``id`` (module:qualified name, ``json:<module>`` for a module's own), ``text`` (the docstring,
    indentation cleaned), ``module`` (the top-level module or package) and ``kind`` (module, class or function).
    Rows are sorted by ``id``; where a name is defined again, its id gets ``#2``, ``#3``, ….
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    rows = {}
    for file in _files(library):
        for row in _file_rows(file, library):
            own, number = row["id"], 1
            while row["id"] in rows:
                number += 1
                row["id"] = f"{own}#{number}"
            rows[row["id"]] = row
    return [rows[id] for id in sorted(rows)]


def read_code(count: int, seed: int) -> list[str]:
    """Functions of the standard library that have no docstring, as their source stands: ``count``, drawn by a seed.

    Of a file at most eight, of 3 to 25 lines each, no two the same; fewer than ``count`` where the library has no more.
    """
    random = np.random.default_rng(seed)
    files = _files(Path(sysconfig.get_paths()["stdlib"]))
    found: dict[str, None] = {}  # an ordered set
    for at in random.permutation(len(files)).tolist():
        if len(found) >= count:
            break
        functions = list(_undocumented(files[at]))
        found |= dict.fromkeys(functions[one] for one in random.permutation(len(functions))[:_OF_A_FILE].tolist())
    return list(found)[:count]


def _files(library: Path) -> list[Path]:
    """The source files that are no tests and no installed packages."""
    files = []
    for file in sorted(library.rglob("*.py")):
        parts = file.relative_to(library).with_suffix("").parts
        # site-packages, dist-packages and config-3.x-… are no names a module could have.
        if all(part.isidentifier() for part in parts) and not _TESTS.intersection(parts):
            files.append(file)
    return files


def _parsed(source: bytes) -> ast.Module | None:
    """The syntax tree of a source; None where it does not parse."""
    with warnings.catch_warnings():
        # Old sources hold escapes like "\d", which Python 3.11 reports as one category and 3.12 as the other.
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return ast.parse(source)
        except SyntaxError:
            return None


def _file_rows(file: Path, library: Path) -> Iterator[dict[str, str]]:
    """The docstrings of one source file."""
    parts = file.relative_to(library).with_suffix("").parts
    tree = _parsed(file.read_bytes())
    if tree is None:
        return
    module = ".".join(parts).removesuffix(".__init__")
    for name, kind, text in _docstrings(tree, ""):
        yield {"id": f"{module}:{name}", "text": text, "module": parts[0], "kind": kind}


def _undocumented(file: Path) -> Iterator[str]:
    """The source of each function of a file without a docstring, not too short and not too long."""
    source = file.read_bytes()
    tree = _parsed(source)
    lines = source.decode("utf-8", "replace").splitlines()
    for node in [] if tree is None else ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is None:
            text = lines[node.lineno - 1 : node.end_lineno]
            if _LEAST_LINES <= len(text) <= _MOST_LINES:
                yield textwrap.dedent("\n".join(text))


def _docstrings(node: ast.AST, scope: str) -> Iterator[tuple[str, str, str]]:
    """(qualified name, kind, text) of every documented thing in ``node``, in source order."""
    inside = scope
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        name, kind = "<module>", "module"
        if not isinstance(node, ast.Module):
            name, kind = scope + node.name, "class" if isinstance(node, ast.ClassDef) else "function"
            inside = f"{name}." if kind == "class" else f"{name}.<locals>."
        text = ast.get_docstring(node)
        if text and text.strip():
            yield name, kind, text
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):  # expressions define nothing documented
            yield from _docstrings(child, inside)
