"""Files that the configuration names beside the input. They are read when the run begins: a mistake in one is found at
once and not at the end of the night, and the run does not depend on them any more."""

from __future__ import annotations

from pathlib import Path

from ..state.config import LoadParams
from ..state.errors import InputError
from ..tools.benchmarks import read_benchmarks
from ..tools.load import load
from ..tools.taxonomy import read_taxonomy
from .seeds import read_hand_written
from .session import Session

LEAST_LIKED = 10


def read_side_files(session: Session, folder: Path) -> dict[str, str | None]:
    """The endorsed rows as artefacts ``liked`` and ``liked_vectors``, the ``taxonomy``, the hand-written ``seeds`` and
    the texts of the ``benchmarks``.

    Only those that are named.

    Args:
        session: names the files.
        folder: a scratch folder of the store.

    Raises:
        InputError: a file cannot be used.
    """
    like, taxonomy = session.config.quality.like, session.config.label.taxonomy
    artefacts: dict[str, str | None] = {}
    if taxonomy is not None:
        artefacts["taxonomy"] = session.store.put_json(read_taxonomy(Path(taxonomy)).plain())
    if session.config.synthesis.seeds is not None:
        hand_written = read_hand_written(session.config.synthesis.seeds, folder / "seeds", session.config.scrub)
        artefacts["seeds"] = session.store.put_json(hand_written)
    if session.config.decontaminate.against:
        texts, notes = read_benchmarks(session.config.decontaminate.against)
        artefacts["benchmarks"] = session.store.put_frame(texts)
        for note in notes:
            session.reporter.say(f"note: {note}", "yellow")
    if like is not None:
        artefacts |= _liked(session, like, folder)
    return artefacts


def _liked(session: Session, like: str, folder: Path) -> dict[str, str | None]:
    """The endorsed rows, read as the input is read; of the columns only text and vector count."""
    try:
        result = load(like, _as_input(session.config.load), folder, scrub=session.config.scrub)
    except InputError as error:
        raise InputError(f"quality.like: {error}") from error
    if result.ingested - result.missing_text < LEAST_LIKED:
        rows = "row" if result.ingested == 1 else "rows"
        raise InputError(
            f"quality.like: {like} holds {result.ingested - result.missing_text} {rows}, at least {LEAST_LIKED} are "
            "needed to learn from; a few dozen are better"
        )
    if result.quarantined:
        session.reporter.say(f"quality.like: {result.quarantined:,} lines of {like} could not be read", "yellow")
    artefacts: dict[str, str | None] = {"liked": session.store.adopt(result.rows)}
    if result.vectors is not None:
        artefacts["liked_vectors"] = session.store.adopt(result.vectors)
    return artefacts


def _as_input(params: LoadParams) -> LoadParams:
    """How the input is read, without what concerns its rows only."""
    unneeded = dict.fromkeys(("limit", "id_column", "label_column", "source_column"))
    return params.model_copy(update={**unneeded, "missing_text": "remove"})
