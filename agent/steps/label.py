"""Labels: domain, tags and difficulty of every curated row, over the user's taxonomy."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...tools.labels import zero_shot
from ...tools.taxonomy import taxonomy_of
from ..labelling import label_rows, tally, with_rows
from ..session import Session


def label(session: Session) -> None:
    """Label the curated rows, the held-out ones too, where a taxonomy is given.

    Raises:
        InputError: the zero-shot model cannot be used.
        ModelError: the language model cannot be reached.
    """
    params = session.config.label
    if params.taxonomy is None:
        return
    taxonomy = taxonomy_of(session.store.json(session.state.artefacts["taxonomy"]))
    rows = np.sort(np.concatenate([session.kept(), session.anchor()]))
    nli = None
    if params.nli_model is not None:
        nli = partial(zero_shot, taxonomy=taxonomy, model=params.nli_model, min_margin=params.min_margin)
    with session.step("label") as advance:
        labels, said = label_rows(session.text(rows), taxonomy, session.config, nli, session.model, advance)
        artefacts: dict[str, str | None] = {"row_labels": session.store.put_frame(with_rows(labels, rows))}
        if said is not None:
            artefacts["zero_shot"] = session.store.put_frame(said)
    figures = tally(labels, taxonomy)
    session.reporter.say(sentence(figures))
    session.record(
        "label",
        artefacts=artefacts,
        values={"labelled": figures},
        inputs=["ledger", "text", "taxonomy"],
        params=params.model_dump(mode="json"),
        metrics=figures,
        reasons=[sentence(figures)],
    )


def sentence(figures: dict[str, Any]) -> str:
    """What a person is told of the labels."""
    by = ", ".join(f"{rows:,} by {who.replace('_', '-')}" for who, rows in figures["by"].items()) or "none"
    return f"labels: of {figures['rows']:,} rows, {by}; {figures['unsure']:,} stay unsure of a domain or a difficulty"
