"""The first step: read the input; every row gets a position, an id and a line in the ledger.

Files that the configuration names beside the input are read here, too: a mistake in one is found at once and not at the
end of the night, and the run does not depend on them any more.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ...state import events
from ...state.canonical import sha256_file
from ...state.errors import InputError
from ...state.params.preparation import LoadParams
from ...state.phrases import Advance, counted, silent
from ...state.rows import Removal, counts, new_ledger, remove_rows
from ...state.values import Role, Values
from ...tools.judge.labels import usable
from ...tools.judge.taxonomy import read_taxonomy
from ...tools.read.load import load as load_rows
from ...tools.repeats.contamination.benchmarks import read_benchmarks
from ...tools.write.choices import choices_of_run, said
from ...tools.write.review import read_answers
from ..session import Session
from ..synthesis.evidence import read_hand_written
from ..view import View
from .base import Draft, Step

LEAST_LIKED = 10
_COLUMNS = (
    *("text_column", "text_columns", "label_column", "id_column", "source_column", "group_column"),
    *("meanings", "label_like"),
)
_SAID = ("ingested", "quarantined", "shape", "notes", *_COLUMNS)  # of the reading, by the name of the value


@dataclass(frozen=True)
class Loaded:
    """What was read: references of the ``rows`` and of what stands beside them (``side``).

    ``fields`` are those of the event that only the reading knows.
    """

    rows: str
    side: Mapping[Role, str]
    values: Values
    fields: Mapping[str, object]
    notes: tuple[str, ...] = ()


class Load(Step[Loaded]):
    """Read the input and the files beside it."""

    name = "load"
    takes = "what was read: the original columns, the side files, how many records repeat an id, the input's hash"

    def total(self, view: View) -> int | None:
        return view.config.load.limit

    def measure(self, session: Session, view: View, advance: Advance) -> Loaded:
        """As for every step.

        Raises:
            InputError: the rows have no label, and a classifier is to be trained.
        """
        params, store = session.config.load, session.store
        with store.scratch() as folder:
            side, notes = _side_files(session, folder / "side")
            scrub, as_notes = session.config.scrub, session.config.filter.is_notes
            result = load_rows(session.source, params, folder, advance, scrub, as_notes)
            rows = store.adopt(result.rows)
            side["originals"] = store.adopt(result.originals)
            if result.quarantined:
                session.run.quarantine.write_bytes(result.quarantine.read_bytes())
                result.quarantine.rename(folder / "quarantine.bin")
                side["quarantine"] = store.adopt(folder / "quarantine.bin")
            if result.vectors is not None:
                side["given_vectors"] = store.adopt(result.vectors)
        values = Values(**{name: getattr(result, name) for name in _SAID})
        if values.label_column is None and (train := session.config.train).enabled and train.mode == "classifier":
            raise InputError("train.mode = classifier needs labels: name their column with --label-column")
        source = Path(session.source)
        fields = {
            "input_sha256": sha256_file(source) if source.is_file() else None,
            "duplicate_ids": result.duplicate_ids,
            "scrubbed": result.scrubbed if session.config.scrub.kinds else None,
        }
        return Loaded(rows, side, values, fields, tuple(notes))

    def logged(self, view: View, event: events.Load) -> Loaded:
        named = event.state.artefacts
        side: dict[Role, str] = {role: ref for role, ref in named.items() if role != "ledger" and ref is not None}
        fields = event.model_dump(include={"input_sha256", "duplicate_ids", "scrubbed"})
        return Loaded(side.pop("rows"), side, event.state.values, fields)

    def derive(self, view: View, measured: Loaded, advance: Advance = silent) -> Draft:
        values, params = measured.values, view.config.load
        frame = view.store.frame(measured.rows, ["id", "text", "label"])
        blank = frame["text"].str.strip_chars().fill_null("") == ""
        ledger = new_ledger(frame["id"], view.seq)
        if "given_vectors" not in measured.side:
            textless = ledger["row"].filter(blank).to_numpy()
            ledger = remove_rows(ledger, Removal("missing_text", textless), self.name, view.seq)
        unlabelled = frame["label"].is_null()
        if params.missing_label == "remove" and values.label_column is not None:
            still = ledger["row"].filter(unlabelled & (ledger["status"] == "kept")).to_numpy()
            ledger = remove_rows(ledger, Removal("missing_label", still), self.name, view.seq)
        total = counts(ledger)
        ref = measured.side.get("quarantine")
        return Draft(
            artefacts={"rows": measured.rows, **measured.side, "ledger": ledger},
            values=values.patched(Values(ingested=frame.height)),
            fields={
                **measured.fields,
                "counts": total,
                "missing_text": frame["text"].null_count(),
                "missing_label": int(unlabelled.sum()) if values.label_column is not None else 0,
            },
            changed=total["removed"],
            files={} if ref is None else {view.run.quarantine.name: ref.partition(".")[0]},
            lines=(*said(choices_of_run(values, view.config), measured.notes), *_lines(view, measured)),
        )


def _lines(view: View, measured: Loaded) -> tuple[tuple[str, str], ...]:
    """What a person should know of what was read."""
    lines = []
    scrubbed = measured.fields["scrubbed"]
    if isinstance(scrubbed, dict):
        found = ", ".join(f"{number:,} of kind {kind}" for kind, number in scrubbed.items())
        lines.append((f"scrubbed before anything was written: {found or 'nothing was found'}", ""))
    if broken := measured.values.quarantined:
        lines.append((f"{counted(broken, 'broken line')} quarantined: {view.run.quarantine}", "yellow"))
    return tuple(lines)


def _side_files(session: Session, folder: Path) -> tuple[dict[Role, str], list[str]]:
    """The endorsed rows (``liked``, ``liked_vectors``), the ``taxonomy``, the hand-written ``seeds``, the texts of the
    ``benchmarks`` and a person's answers (``answer_file``), only those that are named: their references, and what a
    person should know of them.

    Raises:
        InputError: a file cannot be used.
    """
    config, store = session.config, session.store
    side, notes = dict[Role, str](), list[str]()
    if config.label.taxonomy is not None:
        side["taxonomy"] = store.put_json(asdict(read_taxonomy(Path(config.label.taxonomy))))
        if config.label.nli_model is not None:
            usable(config.label.nli_model)
    if config.synthesis.seeds is not None:
        side["seeds"] = store.put_json(read_hand_written(config.synthesis.seeds, folder / "seeds", config.scrub))
    if config.decontaminate.against:
        texts, said = read_benchmarks(config.decontaminate.against)
        notes += said
        side["benchmarks"] = store.put_frame(texts)
    if config.review.answers is not None:
        answered, more = read_answers(config.review.answers)
        side["answer_file"], notes = store.put_frame(answered), notes + more
    if config.quality.like is not None:
        liked, more = _liked(session, config.quality.like, folder)
        side, notes = side | liked, notes + more
    return side, notes


def _liked(session: Session, like: str, folder: Path) -> tuple[dict[Role, str], list[str]]:
    """The endorsed rows, read as the input is read; of the columns only text and vector count."""
    unneeded = dict.fromkeys(("limit", "id_column", "label_column", "source_column", "group_column"))
    params: LoadParams = session.config.load.model_copy(update={**unneeded, "missing_text": "remove"})
    try:
        result = load_rows(like, params, folder, scrub=session.config.scrub)
    except InputError as error:
        raise InputError(f"quality.like: {error}") from error
    if (usable := result.ingested - result.missing_text) < LEAST_LIKED:
        rows = "row" if result.ingested == 1 else "rows"
        raise InputError(
            f"quality.like: {like} holds {usable} {rows}, at least {LEAST_LIKED} are needed to learn from; a few dozen "
            "are better"
        )
    side: dict[Role, str] = {"liked": session.store.adopt(result.rows)}
    if result.vectors is not None:
        side["liked_vectors"] = session.store.adopt(result.vectors)
    unread = f"quality.like: {result.quarantined:,} lines of {like} could not be read"
    return side, [unread] if result.quarantined else []
