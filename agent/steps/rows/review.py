"""When the rounds are over, the rows in doubt are listed for a person, who may answer in the table itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from ....state import events
from ....state.canonical import sha256_file
from ....state.phrases import Advance, silent
from ....tools.write.review import write_review
from ...decide.review import WHY, in_doubt, listed
from ...session import Session
from ...view import View
from ..base import Draft, Step


@dataclass(frozen=True)
class _Files:
    """What was written: path below the run directory → SHA-256."""

    files: Mapping[str, str]


class Review(Step[_Files]):
    """List what the evidence puts in doubt and no action has settled, the most informative rows first; where nothing is
    in doubt no file is written."""

    name = "review"

    def measure(self, session: Session, view: View, advance: Advance) -> _Files:
        doubts = in_doubt(view).head(view.config.review.max_rows)
        if doubts.height:
            write_review(listed(view, doubts), view.run.review)
        return _written(view)

    def logged(self, view: View, event: events.Review) -> _Files:
        return _written(view)

    def derive(self, view: View, measured: _Files, advance: Advance = silent) -> Draft:
        doubts = in_doubt(view)
        by = {why: int((doubts["why"] == why).sum()) for why in WHY}
        first = doubts.head(view.config.review.max_rows)
        return Draft(
            artefacts={"review": first},
            inputs=("ledger", "evidence", "anchor_evidence", "relabelled", "assignments", "answers"),
            fields={
                "rows": doubts.height,
                "by": {why: rows for why, rows in by.items() if rows},
                "listed": first.height,
            },
            files=measured.files if first.height else {},
        )


def _written(view: View) -> _Files:
    path = view.run.review
    return _Files({path.name: sha256_file(path)} if path.is_file() else {})
