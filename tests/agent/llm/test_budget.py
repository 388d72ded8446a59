"""The purse never lets out more than its bounds, and a question costs what the table says."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.agent.llm import Usage
from recryst.agent.llm.budget import BudgetSpent, Purse
from recryst.agent.llm.prices import ANSWER_TOKENS, FREE, Price, _table, estimate, exceeds, price_of, said
from recryst.state.errors import UsageError
from recryst.state.params.llm import LlmParams
from recryst.state.settings import parse_config

PRICE = Price(input=3.0, output=15.0, cache_write=3.75, cache_read=0.3)
NOTHING = LlmParams()

# One thread's questions: size of the body, most tokens of the answer, what becomes of it, and the share of what was
# set aside that the answer used.
QUESTIONS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(1, 300),
        st.sampled_from(["settle", "lose", "release", "hold", "settle twice", "lose then settle"]),
        st.floats(0, 1),
    ),
    max_size=12,
)


def worst(tokens_in: int, tokens_out: int) -> float:
    return PRICE.worst(tokens_in, tokens_out)


@settings(max_examples=60, deadline=None)
@given(
    threads=st.lists(QUESTIONS, min_size=1, max_size=4),
    max_tokens=st.none() | st.integers(1, 5000),
    max_usd=st.none() | st.floats(1e-5, 0.05),
    counts=st.booleans(),
)
def test_no_order_of_questions_lets_out_more_than_the_bounds(threads, max_tokens, max_usd, counts):
    purse = Purse(PRICE, LlmParams(max_tokens=max_tokens, max_usd=max_usd))

    def within_bounds(held):
        # In one thread this is exact after every step; of several threads each sees at least its own.
        if max_tokens is not None:
            assert purse.tokens + sum(one.tokens for one in held) <= max_tokens
        if max_usd is not None:
            assert purse.usd + sum(worst(one.input_tokens, one.output_tokens) for one in held) <= max_usd + 1e-6

    def ask(questions):
        held = []
        for size, answer, fate, share in questions:
            try:
                one = purse.reserve({"text": "x" * size}, answer, lambda size=size: size // 4 if counts else None)
            except BudgetSpent:
                continue
            used = Usage(
                input_tokens=int(one.input_tokens * share * 0.5),
                cache_write_tokens=int(one.input_tokens * share * 0.5),
                output_tokens=int(one.output_tokens * share),
            )
            if fate == "hold":
                held.append(one)
            elif fate.startswith("lose"):
                purse.lose(one)
            elif fate == "release":
                purse.release(one)
            if "settle" in fate:
                purse.settle(one, used)
            if fate == "settle twice":
                before = purse.tokens, purse.usd
                purse.settle(one, used)
                purse.lose(one)
                assert len(threads) > 1 or (purse.tokens, purse.usd) == before
            within_bounds(held)
        return held

    with ThreadPoolExecutor(len(threads)) as pool:
        held = [one for some in pool.map(ask, threads) for one in some]
    within_bounds(held)


def test_a_question_that_may_cost_more_than_is_left_is_not_asked():
    purse = Purse(PRICE, LlmParams(max_usd=worst(700, 100)), usd=0.0)
    first = purse.reserve({"text": "x" * 50}, 100, lambda: None)
    with pytest.raises(BudgetSpent):
        purse.reserve({"text": "x" * 50}, 100, lambda: None)
    purse.settle(first, Usage(input_tokens=10, output_tokens=1))
    assert purse.tokens == 11
    purse.reserve({"text": "x" * 50}, 90, lambda: None)


def test_the_price_of_an_answer_is_the_sum_of_its_parts():
    usage = Usage(input_tokens=1000, output_tokens=200, cache_write_tokens=4000, cache_read_tokens=10_000)
    # 1000 · 3 + 200 · 15 + 4000 · 3.75 + 10000 · 0.3 = 24000 millionths
    assert PRICE.of(usage) == pytest.approx(0.024)
    assert PRICE.of(usage, batched=True) == pytest.approx(0.012)
    assert PRICE.of(usage) <= PRICE.worst(15_000, 200)
    haiku = price_of("anthropic", "claude-haiku-5-5", NOTHING, local=False)
    short, long = Usage(input_tokens=100_000, output_tokens=1000), Usage(input_tokens=100_001, output_tokens=1000)
    assert haiku.of(short) == pytest.approx(0.0105)
    assert haiku.of(long) == pytest.approx(5 * 0.0105, rel=1e-4)
    assert haiku.of(long) <= haiku.worst(100_001, 1000)


def test_a_lost_question_costs_what_was_set_aside_for_it():
    purse = Purse(PRICE, NOTHING)
    held = purse.reserve({"text": "x" * 1000}, 100, lambda: None)
    purse.lose(held)
    assert purse.tokens == held.tokens
    assert purse.usd == pytest.approx(worst(held.input_tokens, 100))
    assert purse.usd == pytest.approx(purse.cost(Usage(), held.worst))


def test_prices_are_found_by_name_with_or_without_a_date():
    dated = price_of("anthropic", "claude-haiku-4-5-20251001", NOTHING, local=False)
    assert dated == price_of("anthropic", "claude-haiku-4-5", NOTHING, local=False) == Price(1, 5, 1.25, 0.1)
    assert price_of("openai", "gpt-4o-mini-2024-07-18", NOTHING, local=False).output == 0.6
    assert price_of("anthropic", "claude-haiku-4-6", NOTHING, local=False) is None  # no borrowing from a neighbour
    assert price_of("ollama", "llama3.2", NOTHING, local=True) == FREE
    assert price_of("ollama", "gpt-oss:120b-cloud", NOTHING, local=False) is None
    # The table is the vendors' own; another server's prices are not theirs.
    elsewhere = LlmParams(base_url="https://gateway.example.org/v1")
    assert price_of("openai", "gpt-4o-mini", elsewhere, local=False) is None


def test_a_bound_in_dollars_needs_a_price():
    with pytest.raises(UsageError, match=re.escape("anthropic:claude-unheard-of")) as error:
        price_of("anthropic", "claude-unheard-of", LlmParams(max_usd=1.0), local=False)
    assert "--price IN,OUT" in str(error.value)
    given_price = LlmParams(max_usd=1.0, usd_per_million=(2.0, 8.0))
    price = price_of("anthropic", "claude-unheard-of", given_price, local=False)
    assert price.of(Usage(input_tokens=500_000, output_tokens=250_000)) == pytest.approx(3.0)
    assert price.worst(1_000_000, 0) == pytest.approx(2.5)  # all of it written to a cache
    with pytest.raises(UsageError, match="negative"):
        price_of("openai", "any", LlmParams(usd_per_million=(-1.0, 1.0)), local=False)


def test_the_table_holds_together():
    for vendor, rows in _table().items():
        for model, price in rows.items():
            where = f"{vendor}:{model}"
            assert 0 < price.cache_read < price.input <= price.cache_write < price.output, where
            assert price.batch == 0.5, where
            assert (price.long_from is None) == (price.long_factor == 1.0), where


def test_the_estimate_is_the_sum_of_what_the_run_may_ask():
    config = parse_config(
        {
            "llm": {"model": "anthropic:any", "batch": True},
            "stop": {"max_rounds": 3},
            "critique": {"samples": 5, "max_pairs": 50},
            "label": {"taxonomy": "taxonomy.yaml", "max_model_rows": 95},
        },
        "test",
    )
    estimated = estimate(config, rows=150, k=10, mean_tokens=20, price=PRICE)
    assert estimated.questions == {"critique": 60, "same_theme": 60, "quality": 15, "decide": 12, "label": 10}
    assert estimated.calls == 157
    # A row of 20 tokens is shown as 40; six rows in a critique, two in a pair, ten in the rest.
    inputs = {"critique": 900 + 240, "same_theme": 900 + 80, "quality": 900 + 400, "decide": 900 + 9000, "label": 1300}
    assert estimated.input_tokens == sum(estimated.questions[kind] * tokens for kind, tokens in inputs.items())
    outputs = {kind: calls * ANSWER_TOKENS[kind] for kind, calls in estimated.questions.items()}
    assert estimated.output_tokens == sum(outputs.values())
    batched = sum(outputs[kind] for kind in ("critique", "quality", "label"))
    by_batch = ((60 * 1140 + 25 * 1300) * 3.75 + batched * 15) / 1e6
    rest = ((60 * 980 + 12 * 9900) * 3.75 + (sum(outputs.values()) - batched) * 15) / 1e6
    assert estimated.usd == pytest.approx(by_batch / 2 + rest)
    assert said(estimated).startswith("at most 157 questions and 0.")
    assert not exceeds(estimated, LlmParams(max_usd=estimated.usd, max_tokens=10**7))
    assert exceeds(estimated, LlmParams(max_usd=estimated.usd / 2))
    assert exceeds(estimated, LlmParams(max_tokens=100_000))
    by_rules = config.model_copy(update={"critic": "rules", "policy": "rules"})
    assert estimate(by_rules, 150, 10, 20, None).questions == {"label": 10}
    assert not estimate(parse_config({}, "test"), 150, 10, 20, None).calls
