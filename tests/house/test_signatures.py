"""How much a function may ask for: at most seven parameters; what belongs together comes as one value."""

import ast
from pathlib import Path

import pytest

from recryst.state.actions import ACTION_NAMES

ROOT = Path(__file__).parents[2]
MOST = 7


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The parameters of a function, keyword ones counted, ``self`` and ``cls`` not."""
    given = function.args
    positional = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    variable = [argument for argument in (given.vararg, given.kwarg) if argument]
    return len(positional) + len(given.kwonlyargs) + len(variable) - (positional[:1] in (["self"], ["cls"]))


def test_no_function_takes_more_parameters_than_a_reader_holds() -> None:
    found = {}
    for folder in ("state", "prompts", "tools", "agent", "evals"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and parameters(node) > MOST:
                    found[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = parameters(node)
    assert found == {}


def test_an_action_is_named_where_it_is_defined() -> None:
    """Its name in quotes: the class of the action, the registry, and at most one module more."""
    names = set(ACTION_NAMES) - {"stop"}  # which is also why a model stopped, and what to do about a missing text
    found: dict[str, list[str]] = {name: [] for name in names}
    for folder in ("state", "tools", "agent", "evals"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            words = {node.value for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Constant)}
            for name in names & {word for word in words if isinstance(word, str)}:
                found[name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 3} == {}
    assert all(found.values())


def test_what_flows_in_the_agent_has_a_type() -> None:
    texts = [path.read_text("utf-8") for path in (ROOT / "agent").rglob("*.py")]
    bags, lines = (sum(text.count(what) for text in texts) for what in ("dict[str, Any]", "\n"))
    assert bags <= 4 * lines / 1000


@pytest.mark.parametrize("wing", ["steps", "audit"])
def test_every_module_of_the_steps_and_of_the_audit_is_imported_by_a_test(wing: str) -> None:
    imported = set[str]()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom):
                imported |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
    folder = ROOT / "agent" / wing
    modules = {path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py") if path.stem != "__init__"}
    assert {module for module in modules if f"recryst.agent.{wing}.{'.'.join(module.parts)}" not in imported} == set()
