"""The dataset card: a README.md in the form that the Hugging Face Hub reads.

Every value is escaped on its way into the template, so that text from the data stays text: it opens no
table cell, heading, link, HTML element or front matter.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ....state.phrases import without_controls
from ....state.store import write_whole
from ..figures import FILTERS, hardest, parts_of
from ..report import template
from ..shown import ReportData

CLUSTERS_SHOWN = 20
# https://huggingface.co/docs/hub/datasets-cards: the upper bounds of `size_categories` up to a billion rows.
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_ACTIVE = re.compile(r"[\\`*_\[\]<>|~&#!$]")
_BLOCK_START = re.compile(r"^([-+=]|\d+(?=[.)](\s|$)))")
_LINK = re.compile(r"(://|www\.|@)", re.IGNORECASE)


class Markdown(str):
    """Text that is Markdown already and is not escaped again."""


def escape_markdown(value: Any) -> Markdown:
    """A value as one line of plain text in Markdown (CommonMark 0.31, section 2.4; GFM, section 6.9).

    White space and control characters become one space; characters that mean something are escaped; bare
    links and addresses, which GFM finds in plain text, are broken by an entity for their mark.
    """
    if isinstance(value, Markdown):
        return value
    text = one_line(value)
    text = _ACTIVE.sub(lambda found: f"\\{found[0]}" if found[0] not in "<>&" else f"&#{ord(found[0])};", text)
    text = _LINK.sub(lambda found: "".join(f"&#{ord(c)};" if c in ":.@" else c for c in found[0]), text)
    return Markdown(_BLOCK_START.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", text))


def code(value: Any) -> Markdown:
    """A value as a code span that it cannot leave; not for table cells, where a pipe still acts."""
    text = one_line(value) or "–"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return Markdown(f"{fence}{space}{text}{space}{fence}")


def write_card(data: ReportData, path: Path) -> None:
    """Write the dataset card: front matter, rows, clusters, rounds, limits and how to verify it.

    Raises:
        StorageError: the disk is full or not writable; a card that stood there before is intact.
    """
    card = markdown_template("card.md.jinja").render(
        data=data,
        front_matter=_front_matter(data),
        parts=parts_of(data),
        funnel=data.funnel[1:],
        high=[hit for hit in hardest(data.taken) if hit.high],
        clusters=sorted((one.evidence for one in data.clusters), key=lambda one: -one.size)[:CLUSTERS_SHOWN],
    )
    write_whole(path, card)


@cache
def markdown_template(name: str) -> jinja2.Template:
    """The template of a card, every value of which is escaped; compiled once in a process."""
    environment = jinja2.Environment(
        finalize=escape_markdown,
        autoescape=False,  # which would be for HTML; `finalize` escapes every value for Markdown
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS, code=code)
    return environment.from_string(template(name))


def _front_matter(data: ReportData) -> Markdown:
    """The YAML block at the top; language and licence are unknown and therefore left out."""
    rows = data.rows["kept"] + data.rows["synthetic"]
    category = next((name for bound, name in _SIZES if rows < bound), "n>10M")
    values = {"pretty_name": one_line(data.title), "size_categories": [category], "tags": ["recryst"]}
    return front_matter(values)


def front_matter(values: Mapping[str, Any]) -> Markdown:
    """The YAML block at the top of a card."""
    return Markdown(f"---\n{yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True).rstrip()}\n---")


def one_line(value: Any) -> str:
    """Text without line breaks, control characters or runs of white space."""
    return " ".join(without_controls(str(value)).split())
