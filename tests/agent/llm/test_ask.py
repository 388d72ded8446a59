"""Questions about several rows at once: each row has its own answer, also where a server mixes its answers up."""

import pytest

from recryst.agent.llm.ask import sheets
from recryst.agent.llm.open import open_model
from recryst.agent.steps.quality.lessons import teacher_scores
from recryst.agent.synthesis.generator import accept_rows
from recryst.state.settings import parse_config


@pytest.fixture
def model(script, tmp_path):
    """A model that gives every question the answer to the first one."""
    first = []

    def policy(question):
        first.append([row["id"] for row in question["shown"]["rows"]])
        word = {"verdict": "accept"} if question["kind"] == "judge" else {"score": 4}
        entries = [{"id": one, "reasons": ["sound"], **word} for one in first[0]]
        return {"verdicts" if "verdict" in word else "scores": entries}

    llm = {"model": script(policy).model, "parallel": 1}
    return open_model(tmp_path / "llm", parse_config({"llm": llm}, "the test"), [])


def test_an_answer_to_another_question_counts_for_no_row(model):
    assert accept_rows(model, [f"text {n}" for n in range(15)]) == ["accept"] * 10 + [None] * 5


def test_scores_of_another_question_count_for_no_row(model):
    scores = teacher_scores(model, [f"text {n}" for n in range(15)])
    assert scores[:10].tolist() == [4.0] * 10
    assert (scores[10:] != scores[10:]).all()


def test_rows_with_the_same_digits_get_others():
    texts = [f"sheet 114641 row {at}" for at in range(10)]  # found by trial: two of them would get one id
    (sheet,) = sheets("judge", texts)
    assert len(sheet) == 10
