"""The published filters on generated rows, and what they ask of a row when the data have habits of their own."""

import numpy as np
import pytest

from recryst.tools.judge.diversity import diversity
from recryst.tools.judge.self_instruct import Norms, answers_differ, fault, norms
from recryst.tools.read.shapes import Shape, fields_of, parts_of, row_of


def row(instruction="Name three rivers of Europe.", given="", output="Rhine, Danube and Loire."):
    return {"instruction": instruction, "input": given, "output": output}


PUBLISHED = [
    (row(), None),
    (row("Name three rivers"), "too_short"),
    (row("word " * 151), "too_long"),
    (row("word " * 150), None),
    (row("Describe the Image in one sentence."), "unusable_word"),
    (row("Tell me where to go to eat."), "unusable_word"),
    (row("Imagine a photographic memory and describe it."), None),
    (row("Write a program that sorts a list."), "program"),
    (row("write a  program that sorts a list."), "program"),
    (row("“Translate this sentence into French.”"), "non_ascii"),
    (row("- Translate this sentence into French."), "punctuation"),
    (row(output=" "), "empty_output"),
    (row(given="The same words.", output="The same words. "), "input_is_output"),
    (row(given="A list of things: "), "ends_with_colon"),
    (row(output="The answer is:"), "ends_with_colon"),
    (row(output="x" * 20_001), "too_long"),
]


@pytest.mark.parametrize(("written", "reason"), PUBLISHED)
def test_the_published_filters(written, reason):
    assert fault(written, Norms()) == reason


def test_plain_text_is_held_to_its_own_kind():
    own = [{"text": text} for text in ("Card lost", "¿Dónde está mi tarjeta?", "“Hello”, said the card.", "w " * 300)]
    held_to = norms(("text",), own)
    for text in ("Card stolen", "¿Cuánto cuesta una tarjeta?", "Write a program that draws a picture.", "w " * 300):
        assert fault({"text": text}, held_to) is None
    assert fault({"text": "Card"}, held_to) == "too_short"
    assert fault({"text": "w " * 301}, held_to) == "too_long"
    assert fault({"text": "My card, as follows:"}, held_to) == "ends_with_colon"
    assert fault({"text": "¿Dónde está mi tarjeta?"}, norms(("text",), own[:1] * 40)) == "non_ascii"


def test_rows_that_contradict_each_other_are_both_out():
    rows = [row("Add.", "1 and 1", "2"), row("add.", "1 and 1", "3"), row("Add.", "2 and 2", "4"), row("Add.", "", "5")]
    assert answers_differ(rows, []) == [True, True, False, False]
    assert answers_differ(rows[2:], [row("Add.", "2 and 2", "5"), row("Add.", "", "6")]) == [True, False]


SHAPES = [
    (Shape("alpaca", ("instruction", "context", "response")), {"instruction": "a", "context": "", "response": "b"}),
    (Shape("alpaca", ("instruction", "", "output")), {"instruction": "a", "output": "b"}),
    (Shape("pair", ("question", "answer")), {"question": "a", "answer": "b"}),
    (Shape("text", ("body",)), {"body": "a"}),
    (Shape("sharegpt", ("talk",)), {"talk": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}),
    (
        Shape("messages", ("turns",)),
        {"turns": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    ),
]


@pytest.mark.parametrize(("shape", "columns"), SHAPES)
def test_a_row_of_every_shape_goes_there_and_back(shape, columns):
    parts = parts_of(shape, {**columns, "more": 3})
    assert tuple(parts) == fields_of(shape)
    assert row_of(shape, parts) == columns
    assert parts_of(shape, dict.fromkeys(columns)) is None


REAL = """My parcel never reached the village post office
Why was I billed twice for one pair of boots
Could somebody ring me back before noon tomorrow
The blue kettle leaks whenever it boils
Please send the invoice to our new address
How long does a refund usually take
I want to swap these gloves for a larger size
Your driver left the box in heavy rain
Is there any discount for students
One handle broke off after three weeks
Nobody answers at the number printed on the receipt
Can an order still be cancelled this evening""".splitlines()
NEW = """Which courier brings furniture on Saturdays
A screw was missing from the shelf
May my neighbour collect the delivery instead
The voucher code is refused at checkout
Who repairs clocks under guarantee
We were promised free shipping last month""".splitlines()


def test_new_rows_that_repeat_the_middle_narrow_a_cluster():
    cosines = np.linspace(0.5, 0.9, len(REAL))
    assert not diversity(REAL, NEW, cosines, cosines[::2], 0).narrows
    same_words = diversity(REAL, REAL[:2] * 6, cosines, cosines, 0)
    same_place = diversity(REAL, NEW, cosines, np.full(6, 0.97), 0)
    assert same_words.narrows
    assert same_words.spread == pytest.approx(1)
    assert same_place.narrows
    assert same_place.distinct_2 > 0.9
