"""The extraction experiment: what its scores mean, and that the product's extraction is no worse than its library's."""

from __future__ import annotations

from pathlib import Path

import pytest

from recryst.evals import extraction


def test_tokens_are_counted_as_often_as_they_stand() -> None:
    assert extraction.token_scores("a b b c", "b b b d") == (2 / 4, 2 / 4, 2 / 4)
    assert extraction.token_scores("One two", "one two, three four") == (1 / 2, 1 / 4, 1 / 3)
    assert extraction.token_scores("", "a") == extraction.token_scores("b", "a") == (0, 0, 0)


@pytest.mark.shared_data
def test_the_product_finds_articles_no_worse_than_plain_trafilatura(shared_data: Path) -> None:
    table = extraction.run(shared_data, pages=25)
    ours, theirs = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (ours["pages"], ours["without text"]) == (25, 0)
    assert ours["F1"] >= theirs["F1"] > 0.9
