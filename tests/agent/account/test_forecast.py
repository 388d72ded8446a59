"""How long a run will still take, as its own log tells it step by step."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from recryst.agent.account.forecast import seconds_left
from recryst.agent.cli.progress import Reporter, rounded
from recryst.agent.steps.cycle import FINISH, following
from recryst.agent.view import View


@pytest.fixture
def whole(finished):
    return View.open(finished[0])


def _steps(view):
    """The run as it stood before each of its steps, and the step."""
    at = [view.at(event.seq) for event in view.events if event.state is not None]
    return [(one, following(one).name) for one in at]


def test_there_is_a_forecast_from_the_first_step_on_and_it_comes_down(whole):
    left = [seconds_left(view, step) for view, step in _steps(whole)]
    assert all(one is not None and one >= 0 for one in left)
    assert left[0] > 1
    assert left[-1] < left[0] / 2
    finish = {step.name for step in FINISH}
    assert {step for _, step in _steps(whole)} >= {"load", "embed", "publish"}
    ends = [seconds for seconds, (_, step) in zip(left, _steps(whole), strict=True) if step in finish]
    assert ends[-1] == min(ends)


def test_a_slow_machine_is_expected_to_stay_slow(whole):
    view, step = next((view, step) for view, step in _steps(whole) if step == "cluster")
    slow = tuple(
        event.model_copy(update={"seconds": 100.0}) if event.state is not None else event for event in view.events
    )
    assert seconds_left(replace(view, events=slow), step) > 3 * seconds_left(view, step)


def test_nothing_is_said_where_a_person_decides(whole):
    asked = replace(whole.at(1), config=whole.config.model_copy(update={"approve": True}))
    assert seconds_left(asked, "load") is None


def test_the_terminal_shows_it_and_lines_tell_it_now_and_then(capsys, monkeypatch):
    reporter, screen = Reporter(), io.StringIO()
    reporter.console = Console(file=screen, force_terminal=True, width=160)
    reporter.expect(200.0)
    with reporter.step("embed", 5):
        time.sleep(0.15)
    assert "run: about 3 min left" in screen.getvalue()
    lines = Reporter()
    for seconds in (200.0, 190.0, None):
        lines.expect(seconds)
        with lines.step("embed", 5):
            pass
    assert capsys.readouterr().err.splitlines() == ["embed … (run: about 3 min left)", "embed …", "embed …"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(3, "a few seconds"), (42, "about 40 s"), (200, "about 3 min"), (9000, "about 2.5 h")]
)
def test_a_forecast_is_told_as_precisely_as_it_is(seconds, said):
    assert rounded(seconds) == said
