"""What a person said of single rows comes in force: from a file beside the input, or in conversation."""

import difflib

from ....state.errors import InputError
from ....state.phrases import Advance, counted, silent
from ....state.rows import check_ledger, counts
from ....state.values import Role, Values
from ...decide.person import Said, answers, in_force, resolved
from ...view import View
from ..base import Content, Draft, Step

_NAMED = 3  # labels that a line names


class Answers(Step[None]):
    """Put in force what a person answered in the review list of an earlier run, once copies went: an answer on one of
    them is an answer on the row that stays."""

    name = "answers"

    def due(self, view: View) -> bool:
        return view.config.review.answers is not None

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            InputError: none of the answers is on a row of the data, or a row is labelled where no row has a label.
        """
        said, lost = resolved(view, view.frame("answer_file"))
        labels = view.labels()
        if said.is_empty():
            raise InputError(f"review.answers: none of its {counted(lost, 'row')} is in the data; are these its rows?")
        if view.values.label_column is None and said["label"].null_count() < said.height:
            raise InputError("review.answers: it labels rows, but no label column is named; --label-column names it")
        found = in_force(view, said, self.name)
        fields = {"kept": found.tally["keep"], "removed": found.tally["remove"], "labelled": found.tally["label"]}
        line = "answers of a person: " + ", ".join(f"{rows:,} {name}" for name, rows in fields.items())
        lines = [(line + (f"; {lost:,} on rows that do not stand" if lost else ""), "")]
        known = labels.drop_nulls().unique().to_list()
        for label in sorted(set(said["label"].drop_nulls()) - set(known))[:_NAMED]:
            near = difflib.get_close_matches(label, known, n=1)
            hint = f"; {near[0]!r} is near it" if near else ""
            lines.append((f"answers of a person: no row of the data has the label {label!r} so far{hint}", "yellow"))
        return Draft(
            artefacts={"answers": said, "ledger": found.ledger, **_changed(view, found)},
            inputs=("ledger", "rows", "answer_file"),
            actor="human",
            fields={"counts": counts(found.ledger), **fields, "lost": lost},
            changed=found.changes,
            lines=tuple(lines),
        )


class Apply(Step[None]):
    """Put in force what a person said of single rows in conversation; what the rows are worth is measured anew."""

    name = "apply"
    unit = ""

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        found = in_force(view, answers(view), self.name)
        check_ledger(found.ledger, view.values.ingested)
        total = counts(found.ledger)
        return Draft(
            artefacts={"ledger": found.ledger, **_changed(view, found)},
            values=Values(objective=None, offer=False, trial=None),
            inputs=("ledger", "answers"),
            actor="human",
            fields={"counts": total, "k": len(view.array("centroids"))},
            changed=found.changes,
            lines=((f"as you said: {total['kept']:,} rows kept now, {found.changes:,} changed", ""),),
        )


def _changed(view: View, found: Said) -> dict[Role, Content]:
    """The changed labels, where there are any or were any."""
    if found.relabelled.height:
        return {"relabelled": found.relabelled}
    return {"relabelled": None} if view.has("relabelled") else {}
