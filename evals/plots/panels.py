"""Small panels side by side, the same lines in each: every figure a dot, their mean a stroke; as an SVG image."""

import html
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

_ACROSS = 3  # panels in a row
_WIDTH, _GAP, _LINE = 230, 34, 24  # pixels: of a panel, between two, from line to line
_LETTER = 6.8  # pixels of a letter of 13 px on average
_HEAD, _FOOT, _TOP = 44, 58, 44  # above and below the lines of a panel; above all
_INK, _PALE, _RULE, _STRONG, _PLAIN = "#1f2933", "#616e7c", "#d9dee3", "#2f7d6b", "#7b8794"
_NEAR = 46  # pixels between two marks whose names would meet
_SPREAD = (0, -4, 4, -7, 7, -2, 2, -5, 5)  # pixels by which dots of one line stand above or below it


@dataclass(frozen=True)
class Dots:
    """The figures of one line in one panel; ``centre``: where the stroke stands, their mean if None."""

    points: tuple[float, ...]
    centre: float | None = None

    @property
    def stroke(self) -> float:
        """Where the stroke stands."""
        return fmean(self.points) if self.centre is None else self.centre


@dataclass(frozen=True)
class Panel:
    """One axis from ``low`` to ``high``, named with its unit; ``marks``: named places on it, from left to right.

    What lies beyond the axis is drawn at its end, with the figure of the stroke beside it.
    """

    title: str
    axis: str
    low: float
    high: float
    dots: Mapping[str, Dots]
    marks: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Plot:
    """Panels of the same lines.

    ``name``: of the file. ``groups``: a heading ("" for none) and the lines below it. ``strong``: the lines that the
    plot is about. ``note``: what a dot and a stroke are.
    """

    name: str
    title: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    panels: tuple[Panel, ...]
    note: str
    strong: frozenset[str] = field(default_factory=frozenset)

    def svg(self) -> str:
        """The image."""
        return "\n".join(_drawn(self))


def bounds(values: Sequence[float], least: float = 0.0) -> tuple[float, float]:
    """An axis that holds all values with a little room, of a length of at least ``least``."""
    low, high = min(values), max(values)
    room = max(0.08 * (high - low), (least - (high - low)) / 2, 1e-3)
    return low - room, high + room


def ticks(low: float, high: float) -> list[float]:
    """A few round figures within an axis, three to seven of them."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= 0.75 * rough)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _drawn(plot: Plot) -> Iterator[str]:
    lines = [line for heading, names in plot.groups for line in ([(heading, True)] if heading else []) + _plain(names)]
    names = 24 + _LETTER * max(len(name) for name, _ in lines)
    across = min(_ACROSS, len(plot.panels))
    least = 24 + 9.0 * len(plot.title)
    width = round(max(names + across * (_WIDTH + _GAP), least))
    note = textwrap.wrap(plot.note, int((width - 24) / (_LETTER * 0.92)))
    tall = _HEAD + _LINE * len(lines) + _FOOT
    height = _TOP + tall * math.ceil(len(plot.panels) / across) + 17 * len(note) + 10
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="13" fill="{_INK}" role="img">'
    )
    yield f"<title>{html.escape(plot.title)}</title>"
    yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    yield f'<text x="12" y="27" font-size="16" font-weight="bold">{html.escape(plot.title)}</text>'
    for at, panel in enumerate(plot.panels):
        top = _TOP + tall * (at // across)
        if at % across == 0:
            yield from _names(lines, names, top + _HEAD)
        yield from _panel(panel, plot, lines, names + (at % across) * (_WIDTH + _GAP), top)
    for at, words in enumerate(note):
        y = height - 17 * (len(note) - at) + 4
        yield f'<text x="12" y="{y}" font-size="12" fill="{_PALE}">{html.escape(words)}</text>'
    yield "</svg>\n"


def _plain(names: Sequence[str]) -> list[tuple[str, bool]]:
    return [(name, False) for name in names]


def _names(lines: Sequence[tuple[str, bool]], width: float, top: float) -> Iterator[str]:
    for at, (name, heading) in enumerate(lines):
        y = top + _LINE * at + 17
        place = 'x="12" font-weight="bold"' if heading else f'x="{width - 14:.0f}" text-anchor="end"'
        yield f'<text {place} y="{y}">{html.escape(name)}</text>'


@dataclass(frozen=True)
class _Frame:
    """Where the axis of a panel lies."""

    panel: Panel
    left: float
    ceiling: float
    floor: float

    def x(self, value: float) -> float:
        """Where a value stands."""
        low, high = self.panel.low, self.panel.high
        return round(self.left + _WIDTH * (value - low) / (high - low), 1)


def _panel(panel: Panel, plot: Plot, lines: Sequence[tuple[str, bool]], left: float, top: float) -> Iterator[str]:
    frame = _Frame(panel, left, top + _HEAD, top + _HEAD + _LINE * len(lines))
    yield f'<text x="{left}" y="{top + 14}" font-weight="bold">{html.escape(panel.title)}</text>'
    for tick in ticks(panel.low, panel.high):
        x = frame.x(tick)
        yield f'<line x1="{x}" x2="{x}" y1="{frame.ceiling}" y2="{frame.floor}" stroke="{_RULE}"/>'
        yield f'<text x="{x}" y="{frame.floor + 16}" text-anchor="middle" font-size="11">{_figure(tick)}</text>'
    middle, said = left + _WIDTH / 2, html.escape(panel.axis)
    yield f'<text x="{middle}" y="{frame.floor + 34}" text-anchor="middle" font-size="12">{said}</text>'
    yield from _marks(frame)
    for at, (name, heading) in enumerate(lines):
        if not heading and name in panel.dots:
            color = _STRONG if name in plot.strong else _PLAIN
            yield from _dots(frame, panel.dots[name], frame.ceiling + _LINE * at + _LINE // 2, color)


def _marks(frame: _Frame) -> Iterator[str]:
    """The named places of an axis; the names of two that stand close turn away from one another."""
    places = [frame.x(place) for _, place in frame.panel.marks]
    close = len(places) > 1 and places[1] - places[0] < _NEAR
    for at, ((name, _), x) in enumerate(zip(frame.panel.marks, places, strict=True)):
        anchor = ("end", "start")[at] if close else "middle"
        ends = f'y1="{frame.ceiling - 4}" y2="{frame.floor}"'
        yield f'<line x1="{x}" x2="{x}" {ends} stroke="{_INK}" stroke-dasharray="3 3"/>'
        yield f'<text x="{x}" y="{frame.ceiling - 9}" text-anchor="{anchor}" font-size="11">{html.escape(name)}</text>'


def _dots(frame: _Frame, dots: Dots, y: float, color: str) -> Iterator[str]:
    low, high, right = frame.panel.low, frame.panel.high, frame.left + _WIDTH
    for at, point in enumerate(dots.points):
        middle = y + (_SPREAD[at % len(_SPREAD)] if len(dots.points) > 1 else 0)
        if low <= point <= high:
            yield f'<circle cx="{frame.x(point)}" cy="{middle}" r="3.6" fill="{color}" fill-opacity="0.4"/>'
        else:
            end, tip = (frame.left, -6) if point < low else (right, 6)
            yield f'<path d="M{end} {middle - 3.5}v7l{tip} -3.5z" fill="{color}"/>'
    if low <= dots.stroke <= high:
        x = frame.x(dots.stroke)
        yield f'<line x1="{x}" x2="{x}" y1="{y - 9}" y2="{y + 9}" stroke="{color}" stroke-width="3"/>'
    else:
        place = f'x="{frame.left + 5}"' if dots.stroke < low else f'x="{right - 5}" text-anchor="end"'
        yield f'<text {place} y="{y + 4}" font-size="11" fill="{color}">{_figure(dots.stroke)}</text>'


def _figure(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if abs(value) > 1e-9 else "0"
