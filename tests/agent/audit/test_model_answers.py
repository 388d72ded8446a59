"""Forged logs, sealed anew with their pages, of a run in which a language model scores, judges, decides and labels."""

import copy as copying
import json
import shutil

import numpy as np
import polars as pl
import pytest
from commands import QUICK
from conversing import conversation
from curators import neutral, plain
from forger import at, forged
from llm_script import Script

from recryst.agent.audit import audit
from recryst.agent.chat.talk import Talk
from recryst.agent.llm import Usage
from recryst.agent.llm.budget import BUDGET
from recryst.agent.steps.quality.score import lowest, pool_scores
from recryst.evals.runs import refine
from recryst.state.events import EVENT
from recryst.state.rows import Removal, kept_rows, remove_rows
from recryst.state.run import RunDirectory
from recryst.state.settings import parse_config
from recryst.state.values import fold
from recryst.tools.judge.labels import label_table

SETTINGS = {
    **QUICK,
    "cluster": {"k": 6},
    "critique": {"max_pairs": 4, "max_near_duplicates": 0.02},
    "semantic": {"cosine": 0.9},
    "quality": {"teacher_rows": 40, "folds": 3},
    "objective": {"min_gain": 5},  # nothing pays, so that critiques are used again
    "stop": {"max_rounds": 2},
    "load": {"label_column": "group", "vector_column": "vector", "text_column": "text"},
}
TAXONOMY = "domains:\n  greek: {description: greek}\n  roman: {description: roman}\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """200 rows in four groups, with vectors."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 4, 200)
    vectors = np.eye(4, 8)[groups] + 0.25 * rng.standard_normal((200, 8))
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]
    texts = [" ".join(rng.choice(words, 8)) + f" number {n} of {group}" for n, group in enumerate(groups)]
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pl.DataFrame({"text": texts, "group": groups.astype(str), "vector": vectors.tolist()}).write_parquet(path)
    return path


def policy(question):
    """Scores one group high, finds no two rows alike, prunes first, and calls every row Greek."""
    match question["kind"]:
        case "quality":
            return {"score": lambda row: 5 if plain(row["text"]).endswith(" 0") else 1}
        case "same_theme":
            return {"same": False}
        case "decide":
            candidates = question["shown"]["candidates"]
            prunes = [one for one in candidates if one["action"] == "prune"]
            return {"candidate": (prunes or candidates)[0]["id"]}
        case "label":
            return {"domain": "greek"}
    return neutral(question)


@pytest.fixture(scope="module")
def run(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "taxonomy.yaml").write_text(TAXONOMY)
    llm = {"model": Script(folder, policy).model, "usd_per_million": (3.0, 15.0)}
    label = {"taxonomy": str(folder / "taxonomy.yaml"), "max_model_rows": 20}
    refine(source, folder / "run", parse_config({**SETTINGS, "llm": llm, "label": label}, "the test"))
    return folder / "run"


def before(bodies, body):
    """The state before an event."""
    return fold(EVENT.validate_python(one) for one in copying.deepcopy(bodies[: bodies.index(body)]))


def values(body):
    return body["state"].setdefault("values", {})


def _other_rows(bodies, store):
    act = at(bodies, "act")
    old = store.frame(before(bodies, act).artefacts["ledger"])
    new = act["state"]["artefacts"]["trial_ledger"]
    stay = kept_rows(store.frame(new))
    gone = np.sort(np.random.default_rng(1).permutation(stay)[: len(kept_rows(old)) - len(stay)])
    removal = Removal("prune_keep_furthest", gone, np.zeros(len(gone)))
    other = store.put_frame(remove_rows(old, removal, "act", bodies.index(act)))
    bodies[:] = json.loads(json.dumps(bodies).replace(new, other))


def _refused(bodies, store):
    act, measure = at(bodies, "act"), at(bodies, "measure")
    said = "prune would remove every row of the source 'x'; nothing was removed"
    values(act)["trial"]["refused"] = said
    act |= {"outcome": "refused", "reasons": [said]}
    measure["record"] |= {"outcome": "refused", "verdict": None, "after": None, "reasons": [said]}
    measure |= {"outcome": "refused", "reasons": [said]}


def _dropped(bodies, store):
    train = at(bodies, "train")
    ledger = store.frame(before(bodies, train).artefacts["ledger"])
    half = Removal("prune_drop", kept_rows(ledger)[::2])
    train["state"]["artefacts"] = {"ledger": store.put_frame(remove_rows(ledger, half, "act", 1))}


def _opposite(bodies, store):
    quality = at(bodies, "quality")
    state, patch = before(bodies, quality), quality["state"]["artefacts"]
    turned = -np.asarray(store.array(patch["quality_model"]))
    scores = pool_scores(turned, *(store.array(state.artefacts[role]) for role in ("pool", "vectors")))
    patch |= {"quality_model": store.put_array(turned), "quality": store.put_frame(scores)}
    values(quality)["quality"]["below"] = lowest(scores)


def _untaught(bodies, store):
    quality = at(bodies, "quality")
    quality["llm"] = []
    del quality["state"]["artefacts"]["taught"], quality["learned"]


def _zero_shot(bodies, store):
    said = label_table([("roman", [], None)] * 20, "zero_shot")
    at(bodies, "label")["state"]["artefacts"]["zero_shot"] = store.put_frame(said)


def _reused_critiques_gone(bodies, store):
    for number, body in enumerate(bodies):
        if body["type"] == "critique" and body.get("reused"):
            bodies[number] = None


def _suppressed(kind, problem):
    def change(bodies, store):
        for call in at(bodies, kind)["llm"]:
            call.update(response_sha=None, problem=problem, usage={}, usd=0.0)
            call.pop("stop_reason", None)

    return change


def _calls(**fields):
    def change(bodies, store):
        for body in bodies:
            for call in body.get("llm", []):
                call.update(fields)

    return change


def _usage(bodies, store):
    call = at(bodies, "critique")["llm"][0]
    call["usage"]["input_tokens"] += 1000
    call["usd"] += 0.003


def _set(kind, number=0, **changed):
    return lambda bodies, store: values(at(bodies, kind, number)).update(changed)


def _record(**fields):
    return lambda bodies, store: at(bodies, "measure")["record"].update(fields)


FORGED = {
    "other rows pruned": (_other_rows, "(act): state.artefacts.trial_ledger"),
    "rows dropped by train": (_dropped, "(train): state.artefacts.ledger"),
    "a step sets the value of another": (_set("reduce", quality={"used": [], "below": None}), "(reduce): state.values"),
    "answers suppressed as not covered": (_suppressed("decide", BUDGET), "(decide): llm"),
    "answers suppressed as lost": (_suppressed("decide", "asked before the process was stopped"), "(decide): llm"),
    "all calls for nothing": (
        _calls(cache_hit=True, usage=Usage().model_dump(), usd=0.0, attempts=0),
        "no event had it before",
    ),
    "never sent": (_calls(attempts=0), "it was answered, but never sent"),
    "another price": (_calls(usd=0.0), "its dollars do not follow from its tokens"),
    "another usage": (_usage, "its usage is not that of the recorded answer"),
    "another model": (_calls(model="y"), "it is not the run's language model"),
    "another kind": (_calls(kind="chat"), "(critique): llm.0.kind"),
    "another prompt": (_calls(prompt="other@9"), "(critique): llm.0.prompt"),
    "themes in a reused critique": (
        _set(
            "critique",
            1,
            granularity={"between_asked": 2, "between_same": 2, "within_asked": 0, "within_different": 0},
        ),
        "(critique): state.values.granularity",
    ),
    "an invented refusal": (_refused, "(act): outcome"),
    "the opposite classifier": (_opposite, "(quality): state.artefacts.quality_model"),
    "no teacher": (_untaught, "(quality): "),
    "another bar": (lambda bodies, store: values(at(bodies, "quality"))["quality"].update(below=4.99), "(quality): "),
    "a zero-shot model that is not configured": (_zero_shot, "(label): state.artefacts.zero_shot"),
    "another state in the record": (_record(state_key="0" * 16), "(measure): record.state_key"),
    "another round in the record": (_record(round=7), "(measure): record.round"),
    "another action in the record": (_record(action={"action": "stop"}), "(measure): record.action"),
    "other reasons in the record": (_record(reasons=["because"]), "(measure): record.reasons"),
    "thresholds that did not pay": (_set("measure", thresholds={}), "(measure): state.values.thresholds"),
    "critiques removed": (_reused_critiques_gone, "(decide): type is decide, but critique comes next"),
}


def test_a_run_sealed_anew_without_a_change_passes(run, tmp_path):
    assert forged(shutil.copytree(run, tmp_path / "copy"), lambda bodies, store: None) == []


@pytest.mark.parametrize("story", FORGED)
def test_a_forged_log_is_found(run, tmp_path, story):
    change, sentence = FORGED[story]
    failures = forged(shutil.copytree(run, tmp_path / "copy"), change)
    assert any(sentence in failure for failure in failures), failures


def test_what_a_model_put_forward_has_the_call_behind_it(source, tmp_path, script):
    rules = {"policy": "rules", "critic": "rules", "approve": True, "label": {"taxonomy": None}}

    proposes = script({"chat": {"tool": "propose_k", "arguments": {"k": 9}}})
    llm = {"model": proposes.model, "usd_per_million": (3.0, 15.0)}
    config = parse_config({**SETTINGS, **rules, "llm": llm}, "the test")
    run = RunDirectory.create(tmp_path / "run", str(source), config)
    with conversation(run.root) as talk:
        Talk(talk, talk.session.model, print).say("nine", print)
    assert audit(run.root).failures == []
    for number, change in enumerate(
        (
            lambda bodies, store: at(bodies, "approve").update(llm=[]),
            lambda bodies, store: at(bodies, "approve")["answer"]["action"].update(k=8),
        )
    ):
        failures = forged(shutil.copytree(run.root, tmp_path / f"copy{number}"), change)
        assert any("(approve): answer: no recorded tool call" in failure for failure in failures), failures
    hidden = forged(shutil.copytree(run.root, tmp_path / "hidden"), _suppressed("chat", "the connection broke"))
    assert any("its answer is on record" in failure or "usage" in failure for failure in hidden)
