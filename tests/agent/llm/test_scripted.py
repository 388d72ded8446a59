"""A script in the place of a model: YAML and Python, what it leaves out, how it fails, and the examples of the page."""

import re
from pathlib import Path

import pytest

from recryst.agent.audit import audit
from recryst.agent.decide.critique.model_critic import Judgement
from recryst.agent.llm import ANSWER_TOKENS, Message, Request, ToolSpec
from recryst.agent.llm.ask import parse, schema
from recryst.agent.llm.open import open_model, open_provider
from recryst.agent.llm.prices import price_of
from recryst.agent.steps.label import answer_form
from recryst.agent.steps.quality.lessons import RowScores, teacher_scores
from recryst.agent.synthesis.generator import RowVerdicts
from recryst.evals.runs import FinishedRun
from recryst.state.errors import ModelError, UsageError
from recryst.state.params.llm import LlmParams
from recryst.state.settings import parse_config
from recryst.tools.judge.taxonomy import Entry, Taxonomy

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
TOOL = ToolSpec(name="metrics", description="Figures.", parameters={"type": "object", "properties": {}})
ROWS = '{"rows": [{"id": "a1", "text": "so because"}, {"id": "b2", "text": "so"}]}'


def example(language):
    """The page's example in that language."""
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]


@pytest.fixture
def opened(tmp_path):
    """A provider that runs on a script of that text: ``opened(text, ending)``."""

    def make(text, ending="yaml", **params):
        path = tmp_path / f"script.{ending}"
        path.write_text(text)
        return open_provider(LlmParams(model=f"scripted:{path}", **params))

    return make


def reply(provider, kind, content="{}", answer=None, tools=(), heard=None, max_tokens=2048):
    messages = (Message(role="user", content=content),)
    form = None if answer is None else schema(answer)
    question = Request(
        kind=kind, prompt="p@1", system="S.", messages=messages, answer=form, tools=tools, max_tokens=max_tokens
    )
    return provider.read(provider.send(provider.body(question), 10, heard))


def test_what_a_script_leaves_out_is_filled_in_so_that_every_answer_can_be_used(opened):
    provider = opened("critique: {verdict: trim, issues: mixed}")
    judged = parse(reply(provider, "critique", answer=Judgement), Judgement)
    assert (judged.verdict, judged.issues, judged.coherence) == ("trim", ["mixed"], 3)
    scores = parse(reply(provider, "quality", ROWS, RowScores), RowScores).scores
    assert [(one.id, one.score) for one in scores] == [("a1", 3), ("b2", 3)]
    verdicts = parse(reply(provider, "judge", ROWS, RowVerdicts), RowVerdicts).verdicts
    assert [(one.id, one.verdict) for one in verdicts] == [("a1", "accept"), ("b2", "accept")]
    labels = answer_form(Taxonomy((Entry("x", "", ()),), (), ()))
    assert [one.domain for one in parse(reply(provider, "label", ROWS, labels), labels).labels] == ["x", "x"]
    assert reply(provider, "chat", "Hello").text == "Nothing to add."


def test_a_python_file_has_functions_by_kind_and_one_for_the_rest(opened):
    provider = opened(
        "def quality(question):\n    return {'score': lambda row: 5 if 'because' in row['text'] else 2}\n"
        "def answer(question):\n    return [{'tool': name} for name in question['tools']] or question['said']\n",
        "py",
    )
    scores = parse(reply(provider, "quality", ROWS, RowScores), RowScores).scores
    assert [one.score for one in scores] == [5, 2]
    heard = []
    assert reply(provider, "chat", "Good day", heard=heard.append).text == "Good day"
    assert heard == ["Good day"]
    called = reply(provider, "chat", "And now", tools=(TOOL,))
    assert (called.stop_reason, [call.name for call in called.tool_calls]) == ("tool_use", ["metrics"])


def test_an_answer_is_cut_at_its_bound_and_four_bytes_count_as_a_token(opened):
    cut = reply(opened(f"chat: {'word ' * 100}"), "chat", max_tokens=10)
    assert (cut.stop_reason, len(cut.text), cut.usage.output_tokens) == ("length", 40, 10)


@pytest.mark.parametrize(
    ("text", "ending", "said"),
    [
        ("critic: {}", "yaml", "did you mean critique"),
        ("decide: {order: [purne]}", "yaml", "did you mean prune"),
        ("- 1", "yaml", "does not name kinds"),
        ("a: [", "yaml", "cannot be read"),
        ("1 / 0", "py", "ZeroDivisionError"),
        ("def synthesize(question): ...", "py", "none of the functions critique"),
    ],
)
def test_a_wrong_script_is_told_before_anything_is_asked(opened, text, ending, said):
    with pytest.raises(UsageError, match=said):
        opened(text, ending).ready()


def test_a_script_is_local_costs_nothing_and_has_no_batches(opened):
    provider = opened("", max_usd=1.0)
    provider.ready()
    assert provider.local
    assert price_of(provider.name, provider.model, LlmParams(max_usd=1.0), True).worst(10**6, 10**6) == 0
    with pytest.raises(UsageError, match="no batches"):
        opened("", batch=True).ready()
    with pytest.raises(UsageError, match="scripted:PATH"):
        open_provider(LlmParams(model="scriptd:x"))


@pytest.mark.parametrize("code", ["return {}['x']", "return {'reasons': object()}", "return 1j"])
def test_a_script_that_fails_is_one_sentence_and_leaves_nothing_under_way(opened, tmp_path, code):
    provider = opened(f"def quality(question):\n    {code}\n", "py")
    llm = {"model": f"scripted:{provider.model}"}
    model = open_model(tmp_path / "llm", parse_config({"llm": llm}, "the test"), [])
    with pytest.raises(ModelError, match=r"script\.py: quality: "):
        teacher_scores(model, ["a row"])
    assert list((tmp_path / "llm").glob("*")) == []


@pytest.mark.parametrize("language", ["yaml", "python"])
def test_the_examples_of_the_page_run_and_the_audit_needs_no_script(language, vectors, here, tmp_path):
    path = tmp_path / f"policy.{language[:2] if language == 'python' else language}"
    path.write_text(example(language))
    code, out, err = here(
        *("run", vectors, "--vector-column", "vector", "--text-column", "text", "--label-column", "group"),
        *("--out", tmp_path / "run", "--llm", f"scripted:{path}", "--no-train", "--max-rounds", "1"),
        *("--set", "reduce.methods=[pca]", "--set", "score.bootstraps=2", "--set", "probe.seeds=2"),
        *("--set", "quality.teacher_rows=30", "--set", "quality.folds=3"),
    )
    assert code == 0, err
    assert f"policy: scripted:{path}" in (out + err).replace("\n", "")
    done = FinishedRun(tmp_path / "run")
    assert done.events[0].runs_on["critic"] == f"scripted:{path}"
    assert {call.kind for event in done.events for call in event.llm} <= set(ANSWER_TOKENS)
    assert done.decisions()[0][0].action == ("change_k" if language == "yaml" else "prune")
    path.unlink()
    assert audit(tmp_path / "run").failures == []
