"""The demo's data: the docstrings of the installed Python standard library.

Real text that stands on every machine, with real duplicates, boilerplate and a long tail. The sources are parsed,
never imported, so that no code of theirs runs.
"""

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import orjson

_TESTS = {"test", "tests", "idle_test"}


def write_docstrings(path: Path) -> int:
    """Write the standard library's docstrings to ``path`` as JSON Lines; returns the number of rows.

    Each row has ``id`` (module:qualified name, ``json:<module>`` for a module's own), ``text`` (the docstring,
    indentation cleaned), ``module`` (the top-level module or package) and ``kind`` (module, class or function).
    Rows are sorted by ``id``; where a name is defined again, its id gets ``#2``, ``#3``, ….
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    rows = {}
    for file in sorted(library.rglob("*.py")):
        for row in _file_rows(file, library):
            own, number = row["id"], 1
            while row["id"] in rows:
                number += 1
                row["id"] = f"{own}#{number}"
            rows[row["id"]] = row
    with path.open("wb") as target:
        target.writelines(orjson.dumps(rows[id]) + b"\n" for id in sorted(rows))
    return len(rows)


def _file_rows(file: Path, library: Path) -> Iterator[dict[str, str]]:
    """The docstrings of one source file, unless it is a test, an installed package or does not parse."""
    parts = file.relative_to(library).with_suffix("").parts
    # site-packages, dist-packages and config-3.x-… are no names a module could have.
    if not all(part.isidentifier() for part in parts) or _TESTS.intersection(parts):
        return
    with warnings.catch_warnings():
        # Old sources hold escapes like "\d", which Python 3.11 reports as one category and 3.12 as the other.
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            tree = ast.parse(file.read_bytes())
        except SyntaxError:
            return
    module = ".".join(parts).removesuffix(".__init__")
    for name, kind, text in _docstrings(tree, ""):
        yield {"id": f"{module}:{name}", "text": text, "module": parts[0], "kind": kind}


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
