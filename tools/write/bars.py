"""A few shares as bars: an SVG image, and lines of a terminal."""

import html
from collections.abc import Mapping

_WIDTH, _LINE, _NAMES, _FIGURES = 720, 44, 260, 70  # pixels
_COLORS = ("#9aa5b1", "#2f7d6b", "#c9a227", "#c5ccd3")
_CELLS = 40  # of the longest bar on a terminal


def bars_svg(title: str, bars: Mapping[str, float]) -> str:
    """One horizontal bar for each name and value (0 or more), under a title, as an SVG document."""
    longest, room = max(bars.values(), default=0.0) or 1.0, _WIDTH - _NAMES - _FIGURES
    height = _LINE * (len(bars) + 1) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="15" role="img">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="28" font-weight="bold">{html.escape(title)}</text>',
    ]
    for at, (name, value) in enumerate(bars.items()):
        top, length = _LINE * (at + 1), round(room * value / longest, 1)
        lines += [
            f'<text x="{_NAMES - 10}" y="{top + 22}" text-anchor="end">{html.escape(name)}</text>',
            f'<rect x="{_NAMES}" y="{top + 4}" width="{length}" height="26" fill="{_COLORS[at % len(_COLORS)]}"/>',
            f'<text x="{_NAMES + length + 8}" y="{top + 22}">{value:.3f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def bars_text(bars: Mapping[str, float]) -> list[str]:
    """One line for each name and value (0 or more): the name, a bar, the value."""
    longest, widest = max(bars.values(), default=0.0) or 1.0, max(map(len, bars), default=0)
    return [
        f"{name:<{widest}}  {'█' * round(_CELLS * value / longest):<{_CELLS}}  {value:.3f}"
        for name, value in bars.items()
    ]
