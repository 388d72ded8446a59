"""Synthesis: every row that should not get in is dropped, for the right reason, and what gets in is marked for ever."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from commands import QUICK
from conversing import conversation, say

from recryst.agent.account.explain import explain, told
from recryst.agent.account.summary import summary
from recryst.agent.account.tables import show_summary
from recryst.agent.audit import audit
from recryst.agent.decide.caps import within_share
from recryst.agent.llm.open import open_model
from recryst.agent.synthesis.evidence import read_hand_written
from recryst.agent.synthesis.gates import Evidence, synthesise
from recryst.agent.synthesis.generator import Example, Target
from recryst.agent.synthesis.placement import Placed
from recryst.agent.view import View
from recryst.evals.runs import FinishedRun, refine
from recryst.state.errors import InputError
from recryst.state.events import Act, Measure
from recryst.state.params.preparation import ScrubParams
from recryst.state.params.vectors import ClusterParams, EmbedParams
from recryst.state.rows import (
    Removal,
    add_synthetic,
    check_ledger,
    counts,
    kept_rows,
    new_ledger,
    remove_rows,
    synthetic_rows,
)
from recryst.state.run import RunDirectory
from recryst.state.settings import parse_config
from recryst.tools.repeats.rouge import RougePool
from recryst.tools.vectors.cluster import cluster
from recryst.tools.vectors.embed import open_encoder

FIELDS = ("instruction", "input", "output")


def text_of(parts):
    return f"{parts['instruction']}\n{parts['input']}\n{parts['output']}"


@pytest.fixture(scope="module")
def world(shared_data):
    """The 175 seed tasks, embedded and clustered; some of those near a centre stand in for good new rows."""
    with (shared_data / "self_instruct" / "seed_tasks.jsonl").open() as file:
        tasks = [json.loads(line) for line in file]
    rows = [{"instruction": t["instruction"], **t["instances"][0]} for t in tasks]

    encoder = open_encoder(EmbedParams())

    def embed(texts):
        vectors = np.asarray(encoder.encode(texts), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    vectors = embed([text_of(row) for row in rows])
    result = cluster(vectors, ClusterParams(k=5), 0)
    number = int(np.argmax(np.bincount(result.labels)))
    cosines = np.einsum("nd,nd->n", vectors, result.centroids[result.labels])
    members = np.flatnonzero(result.labels == number)
    return SimpleNamespace(
        rows=rows, vectors=vectors, result=result, number=number, members=members, cosines=cosines, embed=embed
    )


def evidence_without(world, held_back, count):
    own = [at for at in world.members.tolist() if at not in held_back]
    pool = [at for at in range(len(world.rows)) if at not in held_back]
    examples = tuple(Example(f"seed_task_{at}", world.rows[at], None) for at in own)
    return Evidence(
        fields=FIELDS,
        targets=(Target(world.number, count, examples, (), world.cosines[own].astype(np.float64)),),
        pool=tuple(world.rows[at] for at in pool),
        texts=tuple(text_of(world.rows[at]) for at in pool),
        render=lambda rows: [text_of(parts) for parts in rows],
        fails=lambda texts: ["lorem ipsum" in text for text in texts],
        rouge_l=0.7,
        cosine=0.95,
        seed=1,
        round=2,
    )


def placer(world, held_back):
    pool = np.delete(world.vectors, held_back, axis=0)

    def place(texts):
        vectors = world.embed(texts)
        cosines, nearest = vectors @ world.result.centroids.T, (vectors @ pool.T).max(axis=1)
        return [
            Placed(cluster=int(line.argmax()), cosine=float(line.max()), nearest=float(near))
            for line, near in zip(cosines, nearest, strict=True)
        ]

    return place


def planted(world, good):
    """Rows that must not get in, by the reason for which each must be dropped."""
    own = [world.rows[at] for at in world.members.tolist() if at not in good]
    first = next(row for row in own if len(row["instruction"].split()) > 8 and row["instruction"][0].isalpha())
    far = [at for at in np.argsort(world.cosines)[::-1].tolist() if world.result.labels[at] != world.number]
    say = "Explain in two sentences why old wooden boats are still being built by hand."
    base = {"instruction": say, "input": "", "output": "They are loved."}
    return {
        "malformed": [{"instruction": say}, {**base, "more": "x"}, "a row", {**base, "output": 3}],
        "too_short": [{**base, "instruction": "Explain boats."}],
        "too_long": [{**base, "instruction": "boat " * 160}],
        "unusable_word": [{**base, "instruction": "Draw a boat that is built by hand."}],
        "program": [{**base, "instruction": "Write a program that counts wooden boats."}],
        "punctuation": [{**base, "instruction": f"- {say}"}],
        "non_ascii": [{**base, "instruction": f"É {say}"}],
        "empty_output": [{**base, "output": " "}],
        "input_is_output": [{**base, "input": "A boat.", "output": "A boat."}],
        "ends_with_colon": [{**base, "output": "The reasons are:"}],
        "fails_filter": [{**base, "output": "lorem ipsum"}],
        "same_input_other_output": [{**base, "input": "boats", "output": word} for word in ("Oak.", "Elm.")],
        "near_copy": [{**first, "instruction": first["instruction"] + " Thanks!", "input": "", "output": "Surely."}],
        "off_topic": [
            {
                **world.rows[at],
                "instruction": f"Now then, {world.rows[at]['instruction']} Be quick and kind about all of it.",
            }
            for at in far
            if 5 < len(world.rows[at]["instruction"].split()) < 9 and not world.rows[at]["input"]
        ][:1],
    }


def curator(answers, rejects):
    """A generator that reads from ``answers`` and then has nothing more to say, and a judge."""

    def policy(question):
        shown = question["shown"]
        if question["kind"] == "generate":
            assert len(shown["examples"]) >= 6
            return next(answers, {"rows": []})
        words = ["reject" if rejects(row["text"]) else "accept" for row in shown["rows"]]
        verdicts = zip(shown["rows"], words, strict=True)
        return {"verdicts": [{"id": row["id"], "reasons": ["as told"], "verdict": word} for row, word in verdicts]}

    return policy


def test_every_planted_row_is_dropped_for_its_reason(world, script, tmp_path):
    order = world.members[np.argsort(world.cosines[world.members])[::-1]].tolist()
    # Which rows share the cluster differs between processors: a row with a near-copy in the set is none to get in.
    said = [row["instruction"] for row in world.rows]
    alone = [at for at in order if not RougePool(0.7, said[:at] + said[at + 1 :]).repeats(said[at])]
    good = [at for at in alone if len(said[at].split()) > 6][3:9]
    assert len(good) == 6
    refused = world.rows[good[-1]]["instruction"]  # of a row like the good ones, which the judge rejects
    bad = planted(world, good)
    answers = [row for rows in bad.values() for row in rows] + [world.rows[at] for at in good]
    batches = [{"rows": answers[start : start + 8]} for start in range(0, len(answers), 8)]
    broken = ["a row without an end " * 1000, {"rows": [], "more": 1}]
    too_many = {"rows": ["a row"] * 11}
    answers = iter([*batches, *broken, too_many])
    written = script(curator(answers, lambda text: refused[:20].replace(" ", "▁") in text))
    settings = {"model": written.model, "parallel": 1}
    model = open_model(tmp_path / "llm", parse_config({"llm": settings}, "the test"), [])
    done = synthesise(model, evidence_without(world, good, 8 * (len(batches) + 3)), placer(world, good))

    said = {text_of(drop.parts): drop.reason for drop in done.drops if drop.parts is not None}
    dropped = done.figures().dropped
    for reason, rows in bad.items():
        if reason != "malformed":
            assert {reason} == {said[text_of({name: row[name].strip() for name in FIELDS})] for row in rows}
    assert dropped["malformed"] == len(bad["malformed"]) + 8 + 8  # one answer of another form, eight rows that are none
    assert (dropped["truncated"], dropped["over_share"]) == (8, 3)
    assert [drop.parts["instruction"] for drop in done.drops if drop.reason == "judged_bad"] == [refused]
    assert {row.parts["instruction"] for row in done.rows} == {world.rows[at]["instruction"] for at in good[:-1]}
    assert done.figures().generated == len(done.rows) + sum(dropped.values())
    assert all(len(set(row.seeds)) >= 6 and row.id.startswith("syn-") for row in done.rows)


def test_rows_that_make_a_cluster_narrow_stop_its_synthesis(world, script, tmp_path):
    """Rows with other instructions and one and the same answer, again and again."""
    asked = """Describe how rivers carve their beds
Explain why bread needs time to rise
Discuss whether cities should ban cars downtown
Outline the story of any sea novel
Defend the habit of sleeping after lunch
Praise an invention that nobody remembers today
Recount one scene from a train journey
Compare two ways of keeping vegetables fresh""".splitlines()
    rows = [{"instruction": one, "input": "", "output": "yes " * 400} for one in asked]
    written = script(curator(iter([{"rows": rows}, {"rows": rows}]), lambda text: False))
    settings = {"model": written.model, "parallel": 1}
    model = open_model(tmp_path / "llm", parse_config({"llm": settings}, "the test"), [])
    at_home = Placed(cluster=world.number, cosine=0.9, nearest=0.5)
    done = synthesise(model, evidence_without(world, [], 8), lambda texts: [at_home] * len(texts))
    assert done.rows == ()
    assert done.narrowed == (world.number,)
    assert done.figures().dropped == {"narrowing": 8}
    assert len(done.asked) == 1


TINY = {
    **QUICK,
    "stop": {"max_rounds": 2},
    "cluster": {"k": 5},
    "critic": "rules",
    "quality": {"teacher_rows": 0},
    "dedup": {"threshold": 0.99},
}


@pytest.fixture(scope="module")
def questions(bank_questions):
    return bank_questions(60, 22)


def kept_by_a_person(source, root, config):
    """A run in which a person approves the first action and keeps it whatever was measured, and ends the rounds."""
    RunDirectory.create(root, str(source), config)
    with conversation(root) as talk:
        say(talk, "/yes", "/keep", "/finish")
    return FinishedRun(root)


@pytest.mark.parametrize("stay", [True, False])
def test_a_run_adds_rows_on_trial_and_keeps_or_drops_them_whole(stay, questions, script, tmp_path, capsys):
    """Rows that gain nothing beyond noise go again, all of them, unless a person keeps them, all of them."""
    writer = script({"decide": {"order": ["synthesise", "stop"]}})
    settings = {"model": writer.model, "usd_per_million": (1.0, 2.0)}
    load = {"label_column": "category", "text_column": "text"}
    values = {**TINY, "load": load, "llm": settings, "objective": {"min_gain": 9.0}, "policy": "llm"}
    # Seeds of one's own: some land in the cluster that is written for, and one question shows two of them.
    hand = [f"Must a {who} be eighteen to hold an account?" for who in ("student", "nephew", "tourist", "farmer")]
    rows = [{"id": f"h{n}", "text": text, "category": "age_limit"} for n, text in enumerate(hand)]
    (tmp_path / "seeds.jsonl").write_text("\n".join(map(json.dumps, rows)))
    values["synthesis"] = {"seeds": str(tmp_path / "seeds.jsonl")}
    config = parse_config({**values, "approve": stay}, "the test")
    done = (kept_by_a_person if stay else refine)(questions, tmp_path / "run", config)

    (measured, *_), (acted, *_) = done.of_type(Measure), done.of_type(Act)
    action = measured.record.action
    assert action.action == "synthesise"
    assert acted.synthesis.kept > 0
    assert measured.outcome == "rolled_back"
    assert sum(call.kind == "generate" for call in acted.llm) == acted.synthesis.questions
    ledger = done.view.ledger()
    check_ledger(ledger, 262)
    total = counts(ledger)
    assert total["kept"] + total["removed"] == total["ingested"] == 262
    assert total["synthetic"] == (acted.synthesis.kept if stay else 0)
    assert total["synthetic"] <= 0.3 * len(kept_rows(ledger))
    curated = pl.read_parquet(tmp_path / "run" / "curated" / "train-*.parquet")
    if stay:
        written = curated.filter("recryst_synthetic")
        assert written["recryst_id"].to_list() == ledger[synthetic_rows(ledger)]["id"].to_list()
        assert written["recryst_generator"].unique().to_list() == [f"{writer.model} generate@1"]
        shown = set(written["recryst_seeds"].explode())
        assert shown & {f"seed:h{n}" for n in range(4)}
        assert shown - {f"seed:h{n}" for n in range(4)} <= set(ledger["id"])
        assert written["category"].null_count() == written["text"].null_count() == 0
        assert (written["text"] == written["recryst_text"]).all()
        view = View.open(tmp_path / "run")
        first = explain(view, written["recryst_id"][0])
        texts = [*pl.read_csv(questions)["text"], *hand]
        assert set(first.row.seed_texts) <= set(texts)
        said = told(first)
        assert f"    {first.row.seeds[0]}: {first.row.seed_texts[0][:100]}" in said
        assert any(line.startswith("  cluster ") for line in said)
        show_summary(done.directory, summary(view))
        printed = capsys.readouterr().out
        assert f"synthesise {sum(action.counts)} rows in cluster" in " ".join(printed.split())
        assert f"+{total['synthetic']}" in printed
    else:
        assert "recryst_synthetic" not in curated.columns
        assert ledger.height == 262
    report = (tmp_path / "run" / "report.html").read_text()
    assert "Rows that were written" in report
    assert ("A language model wrote" in (tmp_path / "run" / "README.md").read_text()) == stay
    assert audit(tmp_path / "run").failures == []


def test_hand_written_seeds_are_read_as_they_were_published(shared_data, tmp_path):
    seeds = read_hand_written(str(shared_data / "self_instruct" / "seed_tasks.jsonl"), tmp_path, ScrubParams())
    assert len(seeds) == 175
    assert all(seed["row"]["instruction"] and seed["row"]["output"] for seed in seeds)
    (tmp_path / "none.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match=r"synthesis\.seeds"):
        read_hand_written(str(tmp_path / "none.jsonl"), tmp_path, ScrubParams())


def test_synthetic_rows_give_way_when_real_ones_go():
    """A prune that leaves too few real rows beside the synthetic ones takes the last of these out, too."""
    ledger = add_synthetic(new_ledger(pl.Series([f"r{n}" for n in range(20)]), 0), pl.Series(list("abcdef")), 1)
    assert within_share(ledger, 0.3, 2).equals(ledger)
    fewer = remove_rows(ledger, Removal("prune", np.arange(10)), "act", 2)
    held = within_share(fewer, 0.3, 2)
    assert synthetic_rows(held).tolist() == [20, 21, 22, 23]
    assert held.filter(pl.col("reason") == "over_share")["id"].to_list() == ["e", "f"]
    assert kept_rows(held).tolist() == [*range(10, 20), 20, 21, 22, 23]
