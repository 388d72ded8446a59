"""The image of panels: every figure stands where it belongs, and what lies beyond the axis is not lost."""

import xml.etree.ElementTree as ElementTree

import pytest

from recryst.evals.plots.panels import Dots, Panel, Plot, bounds, ticks

SVG = "{http://www.w3.org/2000/svg}"


def _image(*panels, groups=(("", ("a", "b")),)):
    return ElementTree.fromstring(Plot("name", "A & B", groups, panels, "Dots are <seeds>.").svg())


def _of(image, tag, attribute):
    return [float(one.get(attribute)) for one in image.iter(f"{SVG}{tag}") if one.get(attribute)]


def _texts(image):
    return [one.text for one in image.iter(f"{SVG}text")]


def _x_of_ticks(image, low, high):
    found = {one.text: float(one.get("x")) for one in image.iter(f"{SVG}text") if one.get("font-size") == "11"}
    return found[low], found[high]


def test_a_dot_stands_at_its_figure_and_the_stroke_at_the_mean():
    image = _image(Panel("p", "share", 0, 1, {"a": Dots((0.2, 0.6)), "b": Dots((1.0,), 0.5)}))
    zero, one = _x_of_ticks(image, "0", "1")
    at = [(x - zero) / (one - zero) for x in _of(image, "circle", "cx")]
    assert at == pytest.approx([0.2, 0.6, 1.0], abs=1e-3)
    strokes = [line for line in image.iter(f"{SVG}line") if line.get("stroke-width") == "3"]
    assert [(float(line.get("x1")) - zero) / (one - zero) for line in strokes] == pytest.approx([0.4, 0.5], abs=1e-3)
    *first, second = _of(image, "circle", "cy")
    assert max(first) < second, "the lines are not one below the other"


def test_what_lies_beyond_the_axis_is_told_in_figures():
    image = _image(Panel("p", "share", 0, 1, {"a": Dots((-3.0, -1.5)), "b": Dots((0.5,))}))
    assert len(_of(image, "circle", "cx")) == 1
    assert len(list(image.iter(f"{SVG}path"))) == 2
    assert "−2.25" in _texts(image)


def test_every_panel_has_its_axis_named_and_lies_inside_the_image():
    panels = [Panel(f"panel {n}", f"unit {n}", -1, 2, {"a": Dots((0.0,))}, (("mark", 1.0),)) for n in range(4)]
    image = _image(*panels, groups=(("Heading", ("a", "b")),))
    assert {"A & B", "Dots are <seeds>.", "Heading", "mark", *(f"unit {n}" for n in range(4))} <= set(_texts(image))
    width, height = float(image.get("width")), float(image.get("height"))
    assert max(_of(image, "circle", "cx")) < width
    assert max(_of(image, "text", "y")) < height
    assert len(set(zip(_of(image, "circle", "cx"), _of(image, "circle", "cy"), strict=True))) == 4


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-4, 104, [0, 50, 100]), (-1.2, 1.1, [-1, -0.5, 0, 0.5, 1]),
     (0.845, 0.872, [0.85, 0.86, 0.87])],
)  # fmt: skip
def test_ticks_are_round(low, high, wanted):
    assert ticks(low, high) == pytest.approx(wanted)


def test_an_axis_holds_its_values_even_where_all_are_one():
    low, high = bounds([0.3, 0.5])
    assert low < 0.3 < 0.5 < high
    low, high = bounds([0.0], least=1.0)
    assert high - low == pytest.approx(1.0)
    assert bounds([2.0])[0] < 2.0 < bounds([2.0])[1]
