"""Rows that ask and answer, in a run: both are embedded apart, and answers that belong elsewhere are doubted."""

import json

import numpy as np
import pytest
from commands import QUICK

from recryst.agent.audit import audit
from recryst.agent.steps.rows.pairs import EmbedPairs, _Embedded, pairs_of, said
from recryst.evals.runs import refine
from recryst.state import events
from recryst.state.errors import IntegrityError
from recryst.state.settings import parse_config

THINGS = (
    "bicycle",
    "violin",
    "kettle",
    "laptop",
    "tent",
    "boat",
    "oven",
    "camera",
    "piano",
    "tractor",
    "clock",
    "sofa",
)
DEEDS = {
    "clean": "Wipe the {} with a soft cloth and warm water, and dry it well.",
    "repair": "Look for the broken part of the {}, order a new one and put it in with a screwdriver.",
    "sell": "Take bright pictures of the {} and name a fair price in an advertisement.",
    "store": "Keep the {} under a cover in a dry room away from frost.",
    "paint": "Sand the {} down, prime it, and give it two thin coats of colour.",
    "insure": "Ask your insurer whether the policy of your household covers the {}.",
    "lend": "Agree in writing when the {} comes back and who pays for damage.",
    "carry": "Lift the {} by two people, with straight backs, and strap it to a trolley.",
}
SETTINGS = {**QUICK, "stop": {"max_rounds": 1}, "filter": {"profile": "none"}, "cluster": {"k": 4}}
PLANTED = 8


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run over 96 questions, of which eight have each other's answers."""
    pairs = [(f"How do I {deed} my {thing}?", said.format(thing)) for thing in THINGS for deed, said in DEEDS.items()]
    questions, answers = map(list, zip(*pairs, strict=True))
    at = np.arange(5, 96, 12)
    assert len(at) == PLANTED
    for here, there in zip(at, np.roll(at, 3), strict=True):
        answers[here] = pairs[there][1]
    folder = tmp_path_factory.mktemp("pairs")
    lines = [
        json.dumps({"id": f"{'swapped' if n in at else 'sound'}-{n}", "instruction": question, "output": answer})
        for n, (question, answer) in enumerate(zip(questions, answers, strict=True))
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return refine(folder / "rows.jsonl", folder / "run", parse_config(SETTINGS, "the test"))


def test_questions_and_answers_are_embedded_apart_and_once(done):
    [event] = done.of_type(events.EmbedPairs)
    view = done.after(event)
    pairs = pairs_of(view)
    assert np.array_equal(pairs.rows, np.sort(np.concatenate([view.kept(), view.anchor()])))
    assert len(pairs.questions) == len(pairs.answers) == event.rows
    assert not np.allclose(pairs.questions, pairs.answers)
    asked, answered = said(view, pairs.rows[:2])
    assert (asked[0], answered[0]) == ("How do I clean my bicycle?", DEEDS["clean"].format("bicycle"))
    assert not EmbedPairs().due(view)


def test_answers_that_belong_to_other_questions_are_doubted(done):
    view = done.after(done.of_type(events.Evidence)[0])
    evidence = view.frame("evidence")
    ids = view.ledger()["id"].gather(evidence["row"])
    swapped = ids.str.starts_with("swapped")
    assert swapped.any()
    ranks = evidence["pairing_rank"]
    assert ranks.filter(swapped).mean() > ranks.filter(~swapped).mean() + 0.1
    doubted = evidence["pair_doubt"] > 0
    assert doubted.filter(swapped).mean() > doubted.filter(~swapped).mean()


def test_a_run_of_pairs_is_audited(done):
    assert done.view.values.probes == ("nearest_answer",)
    assert audit(done.directory.root).failures == []


def test_vectors_of_other_rows_are_refused(done):
    [event] = done.of_type(events.EmbedPairs)
    view = done.view.at(event.seq)
    found = EmbedPairs().logged(view, event)
    with pytest.raises(IntegrityError, match="of other rows than are kept"):
        EmbedPairs().derive(view, _Embedded(found.questions[1:], found.answers, 0, 0))
    with pytest.raises(IntegrityError, match="embedded and"):
        EmbedPairs().derive(view, _Embedded(found.questions, found.answers, 2 * len(found.questions), 1))
    assert np.array_equal(EmbedPairs().derive(view, found).artefacts["pair_rows"], pairs_of(done.view).rows)
