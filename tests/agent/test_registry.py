"""Every capability stands in the registry once, and every face agrees with it."""

import dataclasses

import pytest

from recryst.agent.chat import commands
from recryst.agent.decide.proposals import Refusal, called_for
from recryst.agent.graph import STEPS
from recryst.agent.registry import CAPABILITIES, capability, offered, table_tools
from recryst.state.errors import UsageError
from recryst.tools.table_tool import TableTool

# What carries the run itself, and is no capability of its own.
OF_THE_RUN = {
    "load", "hold_out", "embed_pairs", "evidence", "critique", "appraise", "decide", "approve", "select", "open_sealed",
    "judge_held_out", "answers", "review", "export", "publish",
}  # fmt: skip


@pytest.mark.parametrize("name", CAPABILITIES)
def test_an_entry_is_whole(name):
    found = CAPABILITIES[name]
    assert found.acts <= found.faces
    assert found.description
    assert callable(found.load()) or isinstance(found.load(), TableTool)
    assert found.params.model_json_schema()["type"] == "object"
    assert ("node" in found.faces) == bool(found.steps)


def test_the_registry_and_the_graph_agree():
    served = {step for one in offered("node") for step in one.steps}
    passive = {step for one in CAPABILITIES.values() for step in one.steps}
    assert passive == served
    assert served | OF_THE_RUN == set(STEPS)
    assert not served & OF_THE_RUN


def test_a_model_looks_and_puts_forward_and_never_acts():
    assert not [one.name for one in CAPABILITIES.values() if "chat" in one.acts]
    for name in ("approve", "reject", "run", "keep", "undo", "finish"):
        assert name not in commands.MODEL_TOOLS
        offered_to_models = dataclasses.replace(CAPABILITIES[name], faces=frozenset({"command", "chat"}))
        with pytest.raises(Refusal, match="only a person"):
            commands.carry_out(None, offered_to_models, {}, "model")


def test_every_face_is_built_from_it():
    assert set(commands.MODEL_TOOLS) <= set(CAPABILITIES)
    assert [one.split()[0] for one in commands.COMMANDS] == list(commands.COMMANDS)
    assert list(table_tools()) == [
        *("clean", "language", "filter", "dedup", "decontaminate", "embed", "semantic", "cluster", "reduce", "score"),
        *("probe", "select"),
    ]
    with pytest.raises(UsageError, match="did you mean 'dedup'"):
        capability("dedupe")


def test_what_a_recorded_call_puts_forward():
    found = called_for("propose_prune", {"clusters": [3], "keep": "closest", "share": 0.5}, ())
    assert found.action.params == {"clusters": [3], "strategy": "keep_closest", "keep_fraction": 0.5}
    assert called_for("propose_k", {"k": 9}, ()).action.params == {"algorithm": "kmeans", "k": 9}
    for name, arguments in (("propose_k", {"k": 1}), ("metrics", {}), ("approve", {}), ("dedup", {}), ("none", {})):
        assert called_for(name, arguments, ()) is None
