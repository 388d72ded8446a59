"""What was asked for and what a run ended with, in words that do not promise more than is known."""

import pytest

from recryst.state.report import Selected, Selection
from recryst.tools.write.outcome import outcome_in_words, selection_in_words

BY_LOT = Selection(name="random", rows=100, score=0.8)
SUSPECT = Selection(name="suspicion", rows=100, score=0.85, gain=0.05, error=0.01)


def asked(*selections, **changed):
    told = {"keep": 100, "target_noise": None, "before": 150, "after": 100, "in_doubt_before": 30, "in_doubt": 1}
    return Selected(score=0.84, selections=selections, **{**told, **changed})


def taking(one):
    return one.model_copy(update={"taken": True})


@pytest.mark.parametrize(
    ("found", "reached", "words"),
    [
        (asked(taking(SUSPECT), BY_LOT), True, "The most suspect rows go: +0.0500 over as many by lot, beyond"),
        (asked(taking(SUSPECT.model_copy(update={"gain": -0.01}))), True, "−0.0100 over as many by lot, within noise"),
        (asked(SUSPECT, taking(BY_LOT)), True, "No method beat a random choice of the same size"),
        (asked(after=103), False, "103 stay, because no fewer hold the best row of every class"),
        (asked(after=90, before=90), True, "At most 100 training rows were asked for: 90 of 90 stay."),
        (asked(keep=None, target_noise=0.01), True, "100 training rows of 150 stay. At most 1.00% of them in"),
        (asked(target_noise=0.01), True, "as it was last gathered, puts 1.00% in doubt, before 20.00%."),
        (asked(target_noise=0.001), False, "puts 1.00% in doubt, before 20.00%; the best row of every class"),
        (asked(target_noise=0.01, in_doubt=None, in_doubt_before=None), False, "there is no evidence on single rows"),
    ],
)  # fmt: skip
def test_what_was_asked_for_is_said_beside_what_came_of_it(found, reached, words):
    assert found.reached is reached
    assert words in outcome_in_words(found)


def test_every_choice_is_said_beside_as_many_rows_by_lot():
    assert selection_in_words(taking(SUSPECT)) == (
        "the most suspect rows go: 100 rows, probes 0.8500, +0.0500 ± 0.0100 over as many by lot (taken)"
    )
    assert selection_in_words(BY_LOT) == "rows go by lot: 100 rows, probes 0.8000"
