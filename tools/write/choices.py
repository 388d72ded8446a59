"""What was chosen for the user: which columns mean what, and how to say otherwise. One block, the same everywhere."""

from collections.abc import Iterable

from ...state.config import Config
from ...state.report import Record
from ...state.values import Values
from ..read.columns import free_name
from ..read.load import LoadResult

_BESIDE = ("address", "time", "score", "count", "provenance")


Reading = Values | LoadResult


class Choices(Record):
    """What the rows were taken for; as JSON, a part of what ``--json`` prints."""

    text: tuple[str, ...]  # columns
    form: str  # of the rows
    content: tuple[str, ...]  # columns by which rows differ
    label: str | None
    label_like: str | None  # where none is named: a column that looks like one …
    label_values: int  # … and how many values it has among the first rows
    id: str | None
    source: str | None
    left_out: dict[str, str]  # column that is no content → what it is taken for
    split: str = ""
    profile: str = ""  # of the quality rules, and why that one
    notes: tuple[str, ...]

    def lines(self) -> list[tuple[str, str]]:
        """What each choice is and says, for a person; the notes last."""
        said = [("text", f"{_named(self.text) or 'none'} (form: {self.form})")]
        content = _named(self.content) or _named(self.text) or "none"
        said.append(("content", f"{content}: copies agree in all of it"))
        label = f"`{self.label}`" if self.label else "none"
        if self.label_like:
            label += (
                f"; `{self.label_like}` looks like a label, {self.label_values} values: use --label-column "
                f"{self.label_like}"
            )
        said += [("label", label), ("id", f"`{self.id}`" if self.id else "none: made of the content")]
        said.append(("source", f"`{self.source}`" if self.source else "none"))
        if self.left_out:
            told = ", ".join(f"{_named((name,))} ({meaning})" for name, meaning in self.left_out.items())
            if other := next((name for name in self.left_out if name), None):
                told += f"; to say otherwise: --content-columns {','.join((*self.content, other))}"
            said.append(("left out", told))
        said += [(name, value) for name, value in (("split", self.split), ("profile", self.profile)) if value]
        return [*said, *(("note", note) for note in self.notes)]


def choices(reading: Reading, split: str = "", profile: str = "") -> Choices:
    """What was chosen when rows were read: by a run, or for a tool.

    ``split``, ``profile``: in words; empty where there is none.
    """
    text = tuple(name for name in reading.text_columns if name)
    meanings = dict(sorted(reading.meanings.items()))  # the log keeps no other order
    content = [name for name, meaning in meanings.items() if meaning == "content"]
    like, values = reading.label_like or (None, 0)
    return Choices(
        text=text,
        form=reading.shape,
        content=(*(name for name in text if name in content), *(name for name in content if name not in text)),
        label=reading.label_column,
        label_like=like,
        label_values=values,
        id=reading.id_column,
        source=reading.source_column,
        left_out={name: meaning for name, meaning in meanings.items() if _is_beside(name, meaning, reading)},
        split=split,
        profile=profile,
        notes=tuple(reading.notes),
    )


def choices_of_run(values: Values, config: Config) -> Choices:
    """The choices of a run, as far as it has come: the profile ``auto`` is settled once the rows are clean."""
    named, auto = config.filter.profile, "by the shape and length of the rows (--profile says otherwise)"
    if named != "auto":
        profile = f"{named}: as named"
    elif config.load.vector_column is not None:
        profile = "none: the vectors are what the rows are about"
    else:
        profile = f"{values.profile}: chosen {auto}" if values.profile else f"chosen, once they are clean, {auto}"
    anchor = config.anchor
    held_out = f"{anchor.fraction:.0%} of the clean rows, {anchor.max_rows:,} at most, are held out as the anchor"
    sealed = config.sealed
    if sealed.fraction:
        share = f"{sealed.fraction:.0%}, {sealed.max_rows:,} at most and {sealed.min_rows:,} at least"
        held_out += f"; {share}, are sealed until the rounds are over"
    split = f"{held_out}; the rest is train"
    found, taken = choices(values, split, profile), list(values.meanings)
    renamed = [f"recryst_{name}" for name in ("id", "text", "cluster") if f"recryst_{name}" in taken]
    notes = [
        f"the input has a column `{name}`, which stays as it is; Recryst's own is called `{free_name(name, taken)}`"
        for name in renamed
    ]
    return found.model_copy(update={"notes": (*found.notes, *notes)})


def said(found: Choices, more: Iterable[str] = ()) -> list[tuple[str, str]]:
    """The block for a terminal: lines and their styles; the notes, and ``more`` of them, stand out."""
    told = [(f"  {name:<9} {what}", "") for name, what in found.lines() if name != "note"]
    return [("the rows are taken for:", "bold"), *told, *((f"note: {one}", "yellow") for one in (*found.notes, *more))]


def _is_beside(name: str, meaning: str, reading: Reading) -> bool:
    """Whether a column is neither content nor told of elsewhere: an id, too, that is not the rows' own."""
    return meaning in _BESIDE or (meaning == "id" and name != reading.id_column)


def _named(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" if name else "the column without a name" for name in columns)
