"""A language model looks before it chooses: calls, refusals and bounds, live and derived again by the audit."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from commands import QUICK
from curators import neutral, over_http
from forger import at, forged
from llm_script import said

from recryst.agent.account.explain import explain, told
from recryst.agent.account.summary import rounds
from recryst.agent.audit import audit
from recryst.agent.decide.looking import MONEY_SHORT, NO_MORE, TIME_OVER, Call, Turn, plainly
from recryst.agent.decide.model_policy import NO_ANSWER
from recryst.agent.decide.policy import Choice
from recryst.agent.llm import Request
from recryst.agent.registry import offered
from recryst.agent.steps.deciding import measuring, tools, turns
from recryst.agent.view import View
from recryst.evals.runs import refine
from recryst.state.errors import ModelError
from recryst.state.events import Decide
from recryst.state.settings import parse_config

SETTINGS = {
    **QUICK,
    "critic": "rules",
    "cluster": {"k": 4},
    "quality": {"teacher_rows": 0},
    "stop": {"max_rounds": 1},
    "load": {"label_column": "kind", "vector_column": "vector", "text_column": "text"},
}
FAULTS = 40


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """400 rows in four groups, a tenth of them with the label of another group; a word of each stands nowhere else."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 4, 400)
    kinds = groups.copy()
    kinds[:FAULTS] = (kinds[:FAULTS] + rng.integers(1, 4, FAULTS)) % 4
    vectors = np.eye(4, 8)[groups] + 0.15 * rng.standard_normal((400, 8))
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]
    texts = [" ".join(rng.choice(words, 8)) + f" qz{n}" for n in range(400)]
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    names = [f"kind-{kind}" for kind in kinds]
    pl.DataFrame({"text": texts, "kind": names, "vector": vectors.tolist()}).write_parquet(path)
    return path


def calls(*wanted):
    """An answer that calls tools, each as its name and arguments."""
    return {"looks": [{"tool": tool, "arguments": arguments} for tool, arguments in wanted], "reasons": "to know more"}


def results(question):
    """What the looks so far came to."""
    told = [json.loads(one["content"]) for one in question["messages"] if one["role"] == "user"][1:]
    return [result for one in told for result in one["results"]]


def offered_ids(question, action):
    return [one["id"] for one in question["shown"]["candidates"] if one["action"] == action]


def curious(question):
    """Looks at everything, also at what there is not, then takes the action that was measured to pay best."""
    if question["kind"] != "decide":
        return neutral(question)
    known = results(question)
    if not known:
        ids = offered_ids(question, "relabel")
        return calls(*(("appraise", {"candidate": one}) for one in ids))
    if len(known) == len(offered_ids(question, "relabel")):
        return calls(
            ("try_clusters", {"algorithm": "kmeans", "size": 5}),
            ("try_dimensions", {"dimensions": 2}),
            ("score_cluster", {"cluster": 0}),
            ("critique_cluster", {"cluster": 0}),
        )
    if "choose" not in question["said"] and not any("refused" in one for one in known):
        return calls(
            ("appraise", {"candidate": "nothing"}),
            ("appraise", {"candidate": offered_ids(question, "stop")[0]}),
            ("try_clusters", {"algorithm": "hdbscan", "size": 1}),
            ("try_clusters", {"algorithm": "kmeans", "size": 1000}),
            ("try_dimensions", {"dimensions": 9}),
            ("score_cluster", {"cluster": 99}),
        )
    paying = [one for one in known if one.get("figures", {}).get("pays") == "yes"]
    best = max(paying, key=lambda one: one["figures"]["gain"])
    return {"candidate": best["arguments"]["candidate"], "reasons": ["measured to pay"]}


def decisions(done):
    return [event for event in done.of_type(Decide) if any(call.kind == "decide" for call in event.llm)]


@pytest.fixture(scope="module")
def looked(source, tmp_path_factory):
    """The run of ``curious``: the questions to it, and what came of it."""
    from llm_script import Script

    folder = tmp_path_factory.mktemp("looked")
    model = Script(folder, curious)
    llm = {"model": model.model, "looks": 20}
    return model, refine(source, folder / "run", parse_config({**SETTINGS, "llm": llm}, "the test"))


def test_every_tool_answers_in_figures_and_the_one_that_pays_is_chosen(looked):
    _, done = looked
    (decided,) = decisions(done)
    by_tool = {}
    for one in decided.looks:
        by_tool.setdefault(one.tool, []).append(one)
    assert set(by_tool) == {one.name for one in offered("policy")}

    known = {one.id: one for one in decided.candidates}
    measured = [one for one in by_tool["appraise"] if not one.refused]
    for look in measured:
        verdict = known[look.arguments["candidate"]].appraisal
        assert (look.figures["gain"], look.figures["needed"]) == (verdict.gain, verdict.needed)
    assert [one.verdict.looks for one in decided.appraisals] == list(range(1, len(decided.appraisals) + 1))
    best = max(measured, key=lambda one: one.figures["gain"])
    assert best.figures["pays"] == "yes"
    assert decided.state.values.decision.candidate == best.arguments["candidate"]
    assert done.view.history()[0].outcome == "kept"
    assert done.view.history()[0].verdict.gain == pytest.approx(best.figures["gain"])

    tried = by_tool["try_clusters"][0].figures
    assert tried["clusters"] == 5
    assert known[tried["candidate"]].action.params == {"algorithm": "kmeans", "k": 5}
    assert decided.candidates[-1].action.action == "stop"
    dimensions = by_tool["try_dimensions"][0].figures
    assert 0 < dimensions["variance"] < 1 < dimensions["effective_dimensions"] < 8
    scored = by_tool["score_cluster"][0].figures
    assert scored["size"] == done.after(decided).report().clusters[0].size
    assert 0 < scored["past_label_support"] < FAULTS
    assert by_tool["critique_cluster"][0].figures["verdict"] == done.after(decided).critiques()[0].verdict


def test_what_is_not_possible_is_refused_in_a_sentence(looked):
    _, done = looked
    refused = [one.refused for one in decisions(done)[0].looks if one.refused]
    assert refused == [
        "no candidate has that id",
        "stop is measured only once it is chosen",
        "the size is a number from 2",
        f"the size is a number from 2 to {done.of_type(Decide)[0].facts.kept // 5}, a fifth of the "
        f"{done.of_type(Decide)[0].facts.kept} rows",
        "the vectors have 1 to 8 dimensions",
        "there is no cluster 99; they are 0 to 3",
    ]


def test_nothing_of_a_row_reaches_the_one_who_decides(looked):
    model, _ = looked
    asked = [question for question in model.asked if question["kind"] == "decide"]
    assert len(asked) == 4
    assert not any(word in said(question) for question in asked for word in ("qz", "kind-", "epsilon"))


def test_the_audit_takes_the_same_turns(looked, monkeypatch, no_network):
    _, done = looked
    monkeypatch.setattr(turns, "by_graph", None)
    monkeypatch.setattr(measuring, "trial_scores", None)
    monkeypatch.setattr(measuring, "cluster_rows", None)
    assert audit(done.directory.root).failures == []


def test_langgraph_and_the_plain_loop_take_the_same_turns():
    def ask(turn):
        order.append("ask")
        if turn.questions == 2:
            return replace(turn, choice=Choice("x", (), {}))
        return replace(turn, questions=turn.questions + 1, calls=(Call("t", None),))

    def look(turn):
        order.append("look")
        return replace(turn, calls=())

    start = Turn(Request(kind="decide", prompt="", system="", messages=()))
    taken = []
    for drive in (plainly, turns.by_graph):
        order = []
        ended = drive(ask, look, start)
        taken.append((order, ended))
    assert taken[0] == taken[1]
    assert taken[0][0] == ["ask", "look", "ask", "look", "ask"]


def test_it_is_told_in_one_line_each(looked):
    _, done = looked
    view = View.open(done.directory.root)
    looks = rounds(view)[0].looks
    assert len(looks) == len(decisions(done)[0].looks)
    assert looks[0].startswith("appraise(candidate ")
    assert "gain 0." in looks[0]
    assert "pays yes" in looks[0]
    assert "score_cluster(cluster 99): there is no cluster 99; they are 0 to 3" in looks
    assert looks[0] in (done.directory.root / "report.html").read_text()
    changed = view.ledger()["id"][int(view.relabelled()["row"][0])]
    assert f"    looked at before it: {looks[0]}" in told(explain(view, changed))


def test_a_clustering_that_was_looked_at_can_be_chosen(source, script, tmp_path):
    def policy(question):
        if question["kind"] != "decide":
            return neutral(question)
        known = results(question)
        if not known:
            return calls(("try_clusters", {"algorithm": "kmeans", "size": 6}))
        return {"candidate": known[0]["figures"]["candidate"], "reasons": ["to see"]}

    config = parse_config({**SETTINGS, "llm": {"model": script(policy).model}}, "the test")
    done = refine(source, tmp_path / "run", config)
    (record,) = done.view.history()
    assert record.action.params == {"algorithm": "kmeans", "k": 6}
    looked = decisions(done)[0].looks[0].figures
    assert record.after.clustering == pytest.approx(looked["quality"], abs=1e-6)
    assert audit(tmp_path / "run").failures == []


def insatiable(question):
    """Never chooses as long as it can call."""
    if question["kind"] == "decide" and "looks" in question["answer"]["properties"]:
        return calls(*[("score_cluster", {"cluster": 0})] * 2)
    return neutral(question)


@pytest.mark.parametrize(
    ("bounds", "refusal", "taken"),
    [({"looks": 3}, NO_MORE, 3), ({"look_seconds": 1e-9}, TIME_OVER, 0), ({"looks": 50}, "", 6)],
    ids=["calls", "seconds", "questions"],
)
def test_over_its_bounds_it_has_to_choose(bounds, refusal, taken, source, script, tmp_path):
    model = script(insatiable)
    done = refine(source, tmp_path / "run", parse_config({**SETTINGS, "llm": {"model": model.model, **bounds}}, "test"))
    looks = decisions(done)[0].looks
    assert [one.refused for one in looks if not one.figures] == [refusal] * (len(looks) - taken)
    assert len(looks) - taken in ((0,) if not refusal else (1, 2))
    asked = [question for question in model.asked if question["kind"] == "decide"]
    assert "looks" not in asked[-1]["answer"]["properties"]
    assert "choose a candidate now" in asked[-1]["said"]
    assert NO_ANSWER not in decisions(done)[0].state.values.decision.reasons
    assert audit(tmp_path / "run").failures == []


def test_without_looks_everything_is_measured_before_it_is_asked(source, script, tmp_path):
    model = script(neutral)
    done = refine(source, tmp_path / "run", parse_config({**SETTINGS, "llm": {"model": model.model, "looks": 0}}, "t"))
    (decided,) = decisions(done)
    assert "looks" not in model.asked[0]["answer"]["properties"]
    assert any(one.appraisal for one in decided.candidates)
    assert decided.looks == decided.appraisals == ()
    assert audit(tmp_path / "run").failures == []


@pytest.mark.parametrize("vendor", ["anthropic", "openai", "ollama"])
def test_every_vendors_client_carries_the_calls(vendor, source, looked, llm_server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    server = llm_server(over_http(curious))
    llm = {"model": f"{vendor}:any", "base_url": server.base_url(vendor), "looks": 20}
    done = refine(source, tmp_path / "run", parse_config({**SETTINGS, "llm": llm}, "the test"))
    assert decisions(done)[0].looks == decisions(looked[1])[0].looks
    assert done.decisions() == looked[1].decisions()
    assert audit(tmp_path / "run").failures == []


def test_a_look_that_the_budget_does_not_cover_is_refused_and_it_chooses(source, llm_server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    server = llm_server(over_http(insatiable))
    whole = {"model": "openai:any", "base_url": server.base_url("openai")}
    first = refine(source, tmp_path / "whole", parse_config({**SETTINGS, "llm": whole}, "the test"))
    question = max(first.requests("decide"), key=len)
    bounded = {**whole, "max_tokens": 2 * len(question)}
    done = refine(source, tmp_path / "run", parse_config({**SETTINGS, "llm": bounded}, "the test"))
    assert MONEY_SHORT in [one.refused for one in decisions(done)[0].looks]
    assert not decisions(done)[0].state.values.decision.safe_default
    assert audit(tmp_path / "run").failures == []


def test_a_run_that_stopped_between_two_looks_goes_on_to_the_same_decision(source, looked, script, tmp_path):
    def failing(question):
        if question["kind"] == "decide" and len(results(question)) > 4:
            raise RuntimeError("the power went")
        return curious(question)

    model = script(failing)
    config = parse_config({**SETTINGS, "llm": {"model": model.model, "looks": 20}}, "the test")
    with pytest.raises(ModelError):
        refine(source, tmp_path / "run", config)
    asked = len(model.asked)
    model.policy = curious
    done = refine(source, tmp_path / "run", config)
    assert decisions(done)[0].looks == decisions(looked[1])[0].looks
    assert len(model.asked) - asked == 2, "what was answered is not asked again"
    assert audit(tmp_path / "run").failures == []


def _look(number, **changed):
    return lambda bodies, store: at(bodies, "decide")["looks"][number].update(changed)


def _other_scores(bodies, store):
    evidence = at(bodies, "decide")["evidence"]
    scores = np.asarray(store.array(evidence["trial_scores"])).copy()
    scores[0] = 1 - scores[0]
    evidence["trial_scores"] = store.put_array(scores)


def _other_labels(bodies, store):
    evidence = at(bodies, "decide")["evidence"]
    labels = np.asarray(store.array(evidence["looked_labels"])).copy()
    labels[0, :50] = 0
    evidence["looked_labels"] = store.put_array(labels)


def _more_scores(bodies, store):
    evidence = at(bodies, "decide")["evidence"]
    scores = np.asarray(store.array(evidence["trial_scores"]))
    evidence["trial_scores"] = store.put_array(np.concatenate([scores, scores[:1]]))


FORGERIES = {
    "a look left out": lambda bodies, store: at(bodies, "decide")["looks"].pop(0),
    "another gain": lambda bodies, store: at(bodies, "decide")["looks"][0]["figures"].update(gain=0.9),
    "time said to be over": _look(0, figures={}, refused=TIME_OVER),
    "a refusal taken back": _look(-1, refused=""),
    "another appraisal": lambda bodies, store: at(bodies, "decide")["appraisals"][0].update(removed=1),
    "other scores": _other_scores,
    "scores of nothing": _more_scores,
    "another clustering": _other_labels,
    "measurements taken out": lambda bodies, store: at(bodies, "decide").pop("evidence"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_look_is_found(forgery, looked, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(looked[1].directory.root, root)
    found = forged(root, FORGERIES[forgery])
    assert any("(decide)" in one for one in found), found


def test_the_registry_lists_what_the_tools_are():
    assert {one.implementation.rpartition(":")[0] for one in offered("policy")} == {".steps.deciding.tools"}
    assert all(one.load() is getattr(tools, one.name) for one in offered("policy"))
    assert not any(one.acts for one in offered("policy"))
