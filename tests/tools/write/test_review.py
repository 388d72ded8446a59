"""The review list as a table: no cell is a formula, and what a person writes into it comes back as they meant it."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.state.errors import InputError
from recryst.tools.write.review import COLUMNS, guarded, read_answers, said_of_row, unguarded, write_review
from recryst.tools.write.shown import InDoubt

ROW = InDoubt(id="r1", text="a text", label="a", suggested="b", why="label", words="so", evidence={"x": 0.012345})


@given(st.text(alphabet="'=+-@\t\rab", max_size=6))
def test_a_guarded_cell_begins_no_formula_and_comes_back(cell):
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unguarded(guarded(cell)) == cell


def written(path, *rows):
    write_review(rows, path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def answered(path, lines, **options):
    """The list with answers in it, as some spreadsheet writes it."""
    encoding = options.pop("encoding", "utf-8-sig")
    with path.open("w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, COLUMNS, **options)
        table.writeheader()
        table.writerows(lines)
    return str(path)


def test_a_line_tells_the_row_and_leaves_room_for_the_answer(tmp_path):
    [line] = written(tmp_path / "review.csv", ROW)
    assert line == {
        "id": "r1", "text": "a text", "label": "a", "suggested": "b", "why": "so", "evidence": "x=0.01235",
        "cluster": "", "answer": "",
    }  # fmt: skip


def test_texts_and_names_of_the_data_can_do_no_harm(tmp_path):
    evil = ROW.model_copy(update={"id": "=1+1", "text": "@SUM(A1)\nnext\x1b[2J", "label": "-x", "suggested": "+y"})
    [line] = written(tmp_path / "review.csv", evil)
    assert (line["id"], line["label"], line["suggested"]) == ("'=1+1", "'-x", "'+y")
    assert line["text"] == "'@SUM(A1) next [2J"


@pytest.mark.parametrize(
    "options", [{}, {"delimiter": ";", "encoding": "utf-16"}, {"delimiter": "\t", "quoting": csv.QUOTE_ALL}]
)
def test_answers_come_back_from_whatever_spreadsheet_wrote_them(options, tmp_path):
    names = ("=1+1", "b, c", "'d", "ü", "e")
    lines = written(tmp_path / "review.csv", *(ROW.model_copy(update={"id": name}) for name in names))
    for line, answer in zip(lines, ("keep", " Remove ", "label", "label: a third", ""), strict=True):
        line["answer"] = answer
    found, _ = read_answers(answered(tmp_path / "answered.csv", lines, **options))
    assert found.rows() == [
        ("=1+1", "keep", None), ("b, c", "remove", None), ("'d", "label", "b"), ("ü", "label", "a third"),
    ]  # fmt: skip


@pytest.mark.parametrize("words", ["perhaps", "keep it", "remove b", "labelled"])
def test_what_says_nothing_is_refused(words):
    with pytest.raises(ValueError, match="an answer is keep, remove or label NAME"):
        said_of_row(words, None)
    with pytest.raises(ValueError, match="which label"):
        said_of_row("label", None)


def test_a_list_without_answers_or_with_two_of_one_row_is_refused_and_the_row_named(tmp_path):
    [line] = written(tmp_path / "review.csv", ROW)
    with pytest.raises(InputError, match=r"holds no answer: fill its column `answer` with keep, remove or label NAME"):
        read_answers(str(tmp_path / "review.csv"))
    twice = [{**line, "answer": "keep"}, {**line, "answer": "remove"}]
    with pytest.raises(InputError, match="the row 'r1' is answered twice, and not alike"):
        read_answers(answered(tmp_path / "twice.csv", twice))
    again = read_answers(answered(tmp_path / "again.csv", [twice[0], twice[0]]))[0]
    assert again.rows() == [("r1", "keep", None)]
    with pytest.raises(InputError, match=r"the row 'r1': an answer is .* not 'maybe'"):
        read_answers(answered(tmp_path / "odd.csv", [{**line, "answer": "maybe"}]))


def test_another_table_is_no_review_list(tmp_path):
    (tmp_path / "rows.csv").write_text("id,text\n1,a\n")
    with pytest.raises(InputError, match="has no column answer; a review list has both"):
        read_answers(str(tmp_path / "rows.csv"))
