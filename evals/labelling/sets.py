"""Sets whose rows are labelled by a taxonomy, and the truth."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl

from ...state.settings import read_yaml
from ...tools.judge.learned import normal
from ...tools.judge.taxonomy import Taxonomy, read_taxonomy
from ..experiment import embedded
from ..loop.sets import LABELLED

SCOPED = "clinc, out of scope too"  # with its requests that belong to none of the domains
NAMES = ("clinc", SCOPED, "newsgroups20", "banking77", "docstrings")


@dataclass(frozen=True)
class Truthed:
    """Texts as a run normalises them (strings [n]), their vectors (float32 [n, d]), and the true name of each in the
    taxonomy, strings [n], null where it has none."""

    text: pl.Series
    vectors: np.ndarray
    truth: pl.Series
    taxonomy: Taxonomy


def truthed(name: str, data: Path, folder: Path) -> Truthed:
    """One of ``NAMES``, with the taxonomy that lies beside this module; ``folder``: a cache of vectors.

    Raises:
        InputError: the set is not in the data folder.
    """
    own = "clinc" if name == SCOPED else name
    found = LABELLED[own](data)
    here = resources.files(__package__)
    members = read_yaml((here / "truth.yaml").read_text(encoding="utf-8"))[own]
    names = {label: domain for domain, labels in members.items() for label in labels}
    texts = [text for text, _ in found.train]
    truth: list[str | None] = [names.get(label) for _, label in found.train]
    if name == SCOPED:
        texts, truth = [*texts, *found.foreign], [*truth, *[None] * len(found.foreign)]
    with resources.as_file(here / f"{own}.yaml") as path:
        taxonomy = read_taxonomy(path)
    return Truthed(normal(texts), embedded(texts, folder), pl.Series(truth, dtype=pl.String), taxonomy)
