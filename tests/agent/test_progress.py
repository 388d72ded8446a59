"""The running cost in the progress line, on a terminal and elsewhere."""

import io
import time

from rich.console import Console

from recryst.agent.progress import Reporter


def test_the_terminal_shows_the_cost_while_an_answer_is_awaited():
    reporter = Reporter()
    screen = io.StringIO()
    reporter.console = Console(file=screen, force_terminal=True, width=160)
    spent = ["$0.0100"]
    reporter.cost = lambda: f"{spent[0]}, 12 tokens"
    with reporter.step("critique", 5, "questions") as advance:
        advance(1)
        spent[0] = "$0.0200"
        time.sleep(0.3)  # no question is answered, but the line is drawn again
        assert "$0.0200, 12 tokens" in screen.getvalue()


def test_elsewhere_the_cost_stands_in_the_last_line_of_a_step(capsys, monkeypatch):
    clock = iter([0.0, 4.0, 4.0, 8.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    reporter = Reporter()
    for cost in (None, lambda: "$0.0100, 12 tokens"):
        reporter.cost = cost
        with reporter.step("critique", 5, "questions") as advance:
            advance(4)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1::2] == [
        "critique done in 4.0 s, 1.00 questions/s",
        "critique done in 4.0 s, 1.00 questions/s, $0.0100, 12 tokens so far",
    ]
