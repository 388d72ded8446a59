"""What the docstrings promise: there is one, arrays have shapes, and errors are named."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [path for folder in ("state", "tools", "agent", "evals") for path in sorted((ROOT / folder).rglob("*.py"))]
ARRAY = re.compile(r"\bnp\.ndarray\b|\bNDArray\b")
# "[n, d]", "[k]", "any shape", "one per row", or "positions", which the ledger defines as one row number each.
SHAPE = re.compile(r"\[[a-z_+*\w]+(, ?[a-z_+*\w]+)*\]|\bshapes?\b|\bpositions?\b", re.IGNORECASE)
HELPERS = {"storage_error": "StorageError"}

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Public:
    """A public class, function or method, and the definitions around it, outermost first."""

    path: Path
    node: Definition
    outer: tuple[ast.Module | Definition, ...]

    def __str__(self) -> str:
        names = [node.name for node in self.outer if not isinstance(node, ast.Module)]
        return f"{self.path.relative_to(ROOT)}:{'.'.join([*names, self.node.name])}"

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""


def public(path: Path) -> Iterator[Public]:
    """Everything public in a file: no underscore in its name or around it, and not local to a function."""

    def below(node: ast.Module | ast.ClassDef, outer: tuple[ast.Module | Definition, ...]) -> Iterator[Public]:
        for child in node.body:
            if isinstance(child, Definition) and not child.name.startswith("_"):
                if not any("overload" in ast.unparse(decorator) for decorator in child.decorator_list):
                    yield Public(path, child, outer)
                if isinstance(child, ast.ClassDef):
                    yield from below(child, (*outer, child))

    module = ast.parse(path.read_bytes())
    return below(module, (module,))


def array_fields(found: Public) -> bool:
    """Whether a class has fields that are or hold NumPy arrays."""
    fields = [item for item in found.node.body if isinstance(item, ast.AnnAssign)]
    return any(ARRAY.search(ast.unparse(item.annotation)) for item in fields)


PUBLIC = [found for path in FILES for found in public(path)]
FUNCTIONS = [found for found in PUBLIC if isinstance(found.node, Function)]
CLASSES = [found for found in PUBLIC if isinstance(found.node, ast.ClassDef)]
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def arrays(node: Function) -> list[str]:
    """The annotations of a function, its result's included, that are or hold NumPy arrays."""
    every = [node.args.vararg, node.args.kwarg, *node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    annotations = [argument.annotation for argument in every if argument] + [node.returns]
    return [text for text in (ast.unparse(a) for a in annotations if a) if ARRAY.search(text)]


def raised(node: Function) -> set[str]:
    """The error classes that a function's own body raises by name; a bare ``raise`` and a defect do not count."""
    names = set()
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, Definition | ast.Lambda):
            continue
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Call):
            name = ast.unparse(inner.exc.func).split(".")[-1]
            names.add(HELPERS.get(name, name))
        waiting.extend(ast.iter_child_nodes(inner))
    return {name for name in names if name.endswith("Error")} - {"AssertionError", "NotImplementedError"}


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 20
    assert any(arrays(found.node) for found in FUNCTIONS)
    assert any(raised(found.node) for found in FUNCTIONS)


def says_itself(found: Public) -> bool:
    """Whether a class adds nothing to its base but one field: a sentence would only repeat both names."""
    fields = [item for item in found.node.body if isinstance(item, ast.AnnAssign)]
    return isinstance(found.node, ast.ClassDef) and bool(found.node.bases) and found.node.body == fields[:1]


TREES = [ast.walk(ast.parse(path.read_bytes())) for path in FILES]
BY_NAME: dict[str, list[ast.ClassDef]] = {}
for every in (node for tree in TREES for node in tree if isinstance(node, ast.ClassDef)):
    BY_NAME.setdefault(every.name, []).append(every)


def told_by_a_base(node: ast.ClassDef, method: str) -> bool:
    """Whether a class that ``node`` is derived from documents ``method``."""
    names = {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases} - {node.name}
    for base in (base for name in names for base in BY_NAME.get(name, [])):
        if any(isinstance(m, Function) and m.name == method and ast.get_docstring(m) for m in base.body):
            return True
        if told_by_a_base(base, method):
            return True
    return False


def needs_none(found: Public) -> bool:
    """A class that says itself, or a method that does what its base says."""
    around = found.outer[-1]
    return says_itself(found) or (isinstance(around, ast.ClassDef) and told_by_a_base(around, found.node.name))


@each_file
def test_everything_public_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_bytes())), f"{path}: no module docstring"
    silent = [str(found) for found in PUBLIC if found.path == path and not found.doc and not needs_none(found)]
    assert not silent, f"no docstring: {silent}"


@each_file
def test_arrays_have_shapes(path: Path) -> None:
    """In the docstring, or its class's or module's for what several share; a field's also in a comment."""
    silent = []
    for found in FUNCTIONS:
        if found.path == path and arrays(found.node):
            docs = [found.doc, *(ast.get_docstring(node) or "" for node in found.outer)]
            if not SHAPE.search(" ".join(docs)):
                silent.append(str(found))
    lines = path.read_text("utf-8").splitlines()
    for found in CLASSES:
        if found.path == path and array_fields(found):
            comments = re.findall("#.*", "\n".join(lines[found.node.lineno - 1 : found.node.end_lineno]))
            if not SHAPE.search(" ".join([found.doc, *comments])):
                silent.append(str(found))
    assert not silent, f"say the shape, as in `float32 [n, d]`: {silent}"


def is_command(found: Public) -> bool:
    """Whether a function is a command: its docstring is the help its user reads, and its errors are exit codes."""
    return any(re.search(r"\b(command|group)\b", ast.unparse(item)) for item in found.node.decorator_list)


@each_file
def test_raised_errors_are_named(path: Path) -> None:
    silent = []
    for found in FUNCTIONS:
        if found.path == path and not is_command(found):
            _, _, section = found.doc.partition("Raises:")
            silent += [f"{found}: {name}" for name in sorted(raised(found.node)) if name not in section]
    assert not silent, f"name it under `Raises:`: {silent}"
