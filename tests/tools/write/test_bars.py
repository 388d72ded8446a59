"""Bars: lengths in proportion, values in figures, and names that are no markup."""

import xml.etree.ElementTree as ET

from recryst.tools.write.bars import bars_svg, bars_text

BARS = {"one <b>": 0.25, "two": 0.5, "none": 0.0}


def test_the_image_is_well_formed_and_its_bars_are_in_proportion():
    root = ET.fromstring(bars_svg("A & B", BARS))
    name = "{http://www.w3.org/2000/svg}"
    one, two, none = [float(rect.get("width")) for rect in root.findall(f"{name}rect")][1:]
    assert two == 2 * one > 0 == none
    assert [text.text for text in root.findall(f"{name}text")] == [
        "A & B", "one <b>", "0.250", "two", "0.500", "none", "0.000",
    ]  # fmt: skip


def test_the_lines_of_a_terminal_are_in_proportion():
    one, two, none = bars_text(BARS)
    assert two.count("█") == 2 * one.count("█") == 40
    assert none.count("█") == 0
    assert one.startswith("one <b>  ")
    assert one.endswith("0.250")
    assert bars_text(dict.fromkeys(BARS, 0.0))[0].endswith("0.000")
