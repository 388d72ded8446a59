"""The final model as a classifier of the curated labels; what the step ``train`` does where it is to be one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from ....state import events
from ....state.errors import IntegrityError
from ....state.phrases import Advance
from ....state.values import ClassifierFigures, Values
from ...session import Session
from ...view import View
from ..base import Content, Draft
from ..finish import files_below
from .figures import shuffled_rows


@dataclass(frozen=True)
class Classified:
    """Classifiers that were trained: their files, the losses of the last one's training, and what each says of every
    held-out row with a label (``row`` uint32, and a column of labels for each, named by its folder)."""

    files: Mapping[str, str]
    losses: tuple[float, ...]
    answers: Content

    @classmethod
    def logged(cls, view: View, event: events.Train) -> Classified:
        """What the log says of it."""
        ref = event.state.artefacts.get("classified")
        return cls(files_below(view.run.root, *map("model/{}".format, _names(view))), event.losses, ref)


def why_no_classifier(view: View) -> str:
    """Why none is trained; empty where one is."""
    labels = view.labels()
    if labels.gather(view.kept()).drop_nulls().n_unique() < 2:
        return "the kept rows have fewer than two labels"
    return "" if len(_asked(view)) else "no held-out row has a label"


def train_and_ask(session: Session, view: View, advance: Advance) -> Classified:
    """Train on the curated rows by their labels in force, and read the held-out rows."""
    from ....tools.model.checkpoint import quiet
    from ....tools.model.classifier.encoder import load_classifier
    from ....tools.model.classifier.evaluate import answers_of
    from ....tools.model.classifier.final import train_classifier

    params, rows, asked = view.config.train, shuffled_rows(view), _asked(view)
    labels, texts = view.labels().gather(rows).to_list(), view.text(rows).to_list()
    trained = train_classifier(texts, labels, params, view.run.model / "classifier", view.seed(5), advance)
    answers = {"row": pl.Series(asked, dtype=pl.UInt32)}
    held_out = view.text(asked).to_list()
    with session.step("evaluate", len(trained.folders) * len(asked), "rows") as read:
        for folder in trained.folders:
            with quiet():
                said = answers_of(*load_classifier(folder), held_out, params.context, read)
            answers[folder.name] = pl.Series(said, dtype=pl.String)
    files = files_below(view.run.root, *map("model/{}".format, _names(view)))
    return Classified(files, trained.losses, pl.DataFrame(answers))


def classified(view: View, measured: Classified) -> Draft:
    """The event of classifiers: their figures follow from their files and from what they said.

    Raises:
        IntegrityError: the log tells of other classifiers, or of answers on other rows.
    """
    from ....tools.vectors.encoders.minilm import SHA256

    answers = view.store.frame(measured.answers) if isinstance(measured.answers, str) else measured.answers
    names, asked = _names(view), _asked(view)
    if not isinstance(answers, pl.DataFrame) or answers.columns != ["row", *names]:
        raise IntegrityError(f"the answers of {' and '.join(names)} on the held-out rows are not told of")
    if not np.array_equal(answers["row"].to_numpy(), asked):
        raise IntegrityError("the classifiers were not asked about the held-out rows that have a label")
    found = _figures(view, answers)
    final = found[-1]
    told = f"train: a classifier of {final.parameters / 1e6:.2f} million parameters, held-out macro-F1 {final.macro_f1}"
    if final.share is not None:
        told += (
            f", {final.share:.1%} of its teacher's at {final.parameters / found[0].parameters:.1%} of the parameters"
        )
    return Draft(
        artefacts={"classified": measured.answers},
        values=Values(classifiers=found),
        inputs=("ledger", "text", "relabelled", *(("assignments",) if view.config.outcome.repeat > 1 else ())),
        fields={"losses": list(measured.losses), "base_sha256": SHA256},
        files=measured.files,
        lines=((told, ""),),
    )


def _figures(view: View, answers: pl.DataFrame) -> tuple[ClassifierFigures, ...]:
    from ....tools.model.checkpoint import weight_bytes
    from ....tools.model.classifier.evaluate import parameters_in, scored

    truth = view.labels().gather(answers["row"]).to_list()
    found = list[ClassifierFigures]()
    for name in answers.columns[1:]:
        folder = view.run.model / name
        macro_f1, accuracy = scored(truth, answers[name].to_list())
        kind: Literal["encoder", "head", "distilled"] = "encoder" if name == "teacher" else view.config.train.kind
        found.append(
            ClassifierFigures(
                name=name,
                kind=kind,
                parameters=parameters_in(folder),
                size_bytes=weight_bytes(folder),
                macro_f1=round(macro_f1, 4),
                accuracy=round(accuracy, 4),
                share=round(macro_f1 / found[0].macro_f1, 4) if found and found[0].macro_f1 else None,
            )
        )
    return tuple(found)


def _names(view: View) -> list[str]:
    """Folders of the classifiers below ``model``, the final one last."""
    return ["teacher", "classifier"] if view.config.train.kind == "distilled" else ["classifier"]


def _asked(view: View) -> np.ndarray:
    """Positions of the held-out rows that have a label, uint32 [m], ascending."""
    anchor = view.anchor()
    labelled: np.ndarray = anchor[view.labels().gather(anchor).is_not_null().to_numpy()]
    return labelled
