"""The running cost in the progress line, on a terminal and elsewhere."""

import io
import time

from rich.console import Console

from recryst.agent.cli.progress import Reporter


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
    clock = iter([0.0, 4.0, 4.0, 8.0, 8.0, 8.5, 8.5, 12.5, 12.5, 13.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    reporter, asked = Reporter(), [0]
    for tokens in (None, 12, 12, 0, 0):
        if tokens is not None:
            reporter.cost = lambda: f"{sum(asked)} tokens"
        with reporter.step("critique", 5, "questions") as advance:
            asked.append(tokens or 0)
            advance(4)
    assert [line for line in capsys.readouterr().err.splitlines() if not line.endswith("…")] == [
        "critique done in 4.0 s, 1.00 questions/s",
        "critique done in 4.0 s, 1.00 questions/s, 12 tokens so far",
        "critique done in 0.5 s, 24 tokens so far",  # however short
        "critique done in 4.0 s, 1.00 questions/s",  # asked nothing: nothing is said of it
    ]


def test_the_terminal_keeps_the_cost_of_a_step_that_asked():
    reporter, spent = Reporter(), ["$0.0100"]
    screen = io.StringIO()
    reporter.console = Console(file=screen, force_terminal=True, width=160, highlight=False)
    reporter.cost = lambda: spent[0]
    with reporter.step("critique"):
        spent[0] = "$0.0200"
    assert screen.getvalue().splitlines()[-1].count("critique done in 0.0 s, $0.0200 so far") == 1
    with reporter.step("score"):
        pass
    assert screen.getvalue().count("so far") == 1


def test_words_of_a_model_do_not_steer_the_terminal(capsys):
    Reporter().say("stop (enough \x1b]0;owned\x07[bold]of\x9b31m it\u202e\nround 9: kept)")
    assert capsys.readouterr().err == "stop (enough  ]0;owned [bold]of 31m it  round 9: kept)\n"
