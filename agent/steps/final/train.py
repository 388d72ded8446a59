"""The final model, trained on the curated text and measured on the anchor."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ....state import events
from ....state.canonical import sha256_file, sha256_json
from ....state.errors import IntegrityError
from ....state.params.final_model import TrainParams
from ....state.phrases import Advance, silent
from ....state.values import BaselineFigures, Values
from ....tools.write.figures import baseline_in_words
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..finish import files_below
from .chat import converses, in_words, readable
from .classifier import Classified, classified, train_and_ask, why_no_classifier
from .figures import Models, figures, shuffled_rows, sized

TEXT_BATCH = 4096


class Train(Step[Models | Classified | None]):
    """Train the final small model on the curated rows and score it on the anchor. None: it is left out."""

    name = "train"
    unit = "tokens"
    takes = "the figures of the trained model"

    def total(self, view: View) -> int | None:
        params = view.config.train
        if params.mode == "classifier":
            return None
        from ....tools.model.prune import RECOVERY

        once = params.tokens + (params.tokens // RECOVERY if params.prune != "none" else 0)
        return once * (2 if params.baseline else 1)

    def measure(self, session: Session, view: View, advance: Advance) -> Models | Classified | None:
        if _why_not(view):
            return None
        if view.config.train.mode == "classifier":
            return train_and_ask(session, view, advance)
        from ....tools.model.perplexity import evaluate
        from ....tools.model.train import train

        params, folder = view.config.train, view.run.model / "dense"
        anchor, base = view.text(view.anchor()).to_list(), {}
        if params.begins_from is not None:
            source = Path(params.begins_from).expanduser()
            weights = {path.name: sha256_file(path) for path in source.glob("*.safetensors")}
            with session.step("evaluate", None, "tokens") as read:
                before = evaluate(source, anchor, params.context, advance=read)
            base = {"base_sha256": sha256_json(weights), "base_perplexity": round(before.perplexity, 4)}
        result = train(_shuffled_text(view), params, folder, view.seed(5), advance)
        with session.step("evaluate", None, "tokens") as read:
            evaluation = evaluate(folder, anchor, params.context, advance=read)
        if result.unpruned is not None:
            with session.step("evaluate", None, "tokens") as read:
                whole = evaluate(result.unpruned, anchor, params.context, advance=read)
            base |= {"unpruned_perplexity": round(whole.perplexity, 4), **_left(view)}
        model = figures("dense", evaluation, evaluation).model_copy(update={"parameters": result.parameters})
        fields = {
            "tokens": result.tokens,
            "epochs": result.epochs,
            "vocabulary": result.vocabulary,
            "losses": list(result.losses),
            **base,
            **({"chat_rows": result.chat_rows, "plain_rows": result.plain_rows} if converses(view) else {}),
        }
        if params.baseline:
            fields["baseline"] = _baseline(session, view, anchor, advance).model_dump()
        return Models(_trained(view), fields, (model,))

    def logged(self, view: View, event: events.Train) -> Models | Classified | None:
        if _why_not(view):
            return None
        if view.config.train.mode == "classifier":
            return Classified.logged(view, event)
        names = {"tokens", "epochs", "vocabulary", "losses"}
        if view.config.train.begins_from is not None:
            names |= {"base_sha256", "base_perplexity"}
        if converses(view):
            names |= {"chat_rows", "plain_rows"}
        pruned = view.config.train.prune != "none"
        fields = event.model_dump(include=names | {"unpruned_perplexity"} if pruned else names)
        if view.config.train.baseline and event.baseline is not None:
            fields["baseline"] = event.baseline.model_dump() | {"rows": len(_crude(view))}
        models = tuple(sized(view, model) for model in event.state.values.models)
        return Models(_trained(view), fields | (_left(view) if pruned else {}), models)

    def derive(self, view: View, measured: Models | Classified | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log tells of no model, or of another, or of no baseline where one was asked for.
        """
        if measured is None:
            return Draft(outcome="skipped", reasons=(_why_not(view),))
        if isinstance(measured, Classified):
            return classified(view, measured)
        if [model.name for model in measured.models] != ["dense"]:
            raise IntegrityError("the model that was trained is not told of")
        fields, after = measured.fields, measured.models[0].perplexity
        pruned = () if view.config.train.prune == "none" else (_pruned(view.config.train, fields, after),)
        lines = [_said(view.config.train, fields, after) + in_words(view, fields), *pruned]
        if view.config.train.baseline:
            if "baseline" not in fields:
                raise IntegrityError("the baseline that was asked for is not told of")
            baseline = BaselineFigures.model_validate(fields["baseline"])
            lines.append(f"train: {baseline_in_words(baseline, measured.models[0])}")
        return Draft(
            values=Values(models=measured.models),
            inputs=("ledger", "text", *(("assignments",) if view.config.outcome.repeat > 1 else ())),
            fields=fields,
            files=measured.files,
            reasons=pruned,
            lines=tuple((line, "") for line in lines),
        )


def _trained(view: View) -> dict[str, str]:
    return files_below(view.run.root, "model/dense", "model/dense-unpruned")


def _left(view: View) -> dict[str, float]:
    """What the files say of a model that was pruned: its parameters before, and the share of them that stays."""
    from ....tools.model.fit import unpruned_beside
    from ....tools.model.prune import counted

    dense = view.run.model / "dense"
    (before, _), (_, left) = counted(unpruned_beside(dense)), counted(dense)
    return {"unpruned_parameters": before, "share_left": round(left / max(before, 1), 4)}


def _said(params: TrainParams, fields: Mapping[str, Any], after: float) -> str:
    """What a training came to, before anything was taken out of the model."""
    said, trained = f"train: {fields['tokens']:,} tokens, {fields['epochs']} passes over the text", after
    if params.prune != "none":
        trained = fields["unpruned_perplexity"]
    if params.distil_from is not None:
        of = f"of the teacher {fields['base_perplexity']}, of its student {trained}"
        return f"{said}, held-out perplexity {of}"
    if params.mode != "scratch":
        return f"{said}, {params.mode} fine-tuning: held-out perplexity {fields['base_perplexity']} → {trained}"
    return said


def _pruned(params: TrainParams, fields: Mapping[str, Any], after: float) -> str:
    return (
        f"{params.prune_share:.0%} of the {params.prune} of the trained model were to be taken out: "
        f"{fields['share_left']:.1%} of its {fields['unpruned_parameters']:,} parameters stay; "
        f"held-out perplexity {fields['unpruned_perplexity']} → {after} once it had learned again"
    )


def _why_not(view: View) -> str:
    """Why no model is trained; empty where one is."""
    if not view.config.train.enabled:
        return "train.enabled is false"
    if view.config.train.mode == "classifier":
        return why_no_classifier(view)
    return "" if view.text(view.anchor()).str.len_bytes().sum() else "the rows have no text"


def _baseline(session: Session, view: View, anchor: list[str], advance: Advance) -> BaselineFigures:
    """The same training on the crude rows, measured on the same held-out rows; its model is not kept."""
    from ....tools.model.perplexity import evaluate
    from ....tools.model.train import train

    params, rows, folder = view.config.train, _crude(view), view.run.model / ".baseline"
    try:
        order = np.random.default_rng(view.seed(6)).permutation(len(rows))
        result = train(_read(view, rows[order]), params, folder / "dense", view.seed(5), advance)
        with session.step("evaluate", None, "tokens") as read:
            found = evaluate(folder / "dense", anchor, params.context, advance=read)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return BaselineFigures(
        rows=len(rows),
        tokens=result.tokens,
        epochs=result.epochs,
        vocabulary=result.vocabulary,
        bits_per_byte=round(found.bits_per_byte, 6),
    )


def _crude(view: View) -> np.ndarray:
    """Positions of the rows of the input that are not held out, removed or not, uint32 [n], ascending. Copies of
    held-out rows are none of them: a model that was trained on those would know what it is measured on."""
    ledger = view.ledger().with_columns(row=pl.int_range(pl.len(), dtype=pl.UInt32))
    ledger = ledger.filter(pl.col("origin") == "input")
    held_out = ledger.filter(pl.col("split").is_in(["anchor", "sealed"]))["id"]
    apart = ~pl.col("id").is_in(held_out.implode()) & ~pl.col("duplicate_of").is_in(held_out.implode()).fill_null(False)
    return ledger.filter(apart)["row"].to_numpy()


def _shuffled_text(view: View) -> Iterator[str]:
    """The curated training text in a random order, a batch at a time."""
    return _read(view, shuffled_rows(view))


def _read(view: View, rows: np.ndarray) -> Iterator[str]:
    """What is read of positions (uint32 [n]), a batch at a time."""
    read = readable(view, np.unique(rows))
    for start in range(0, len(rows), TEXT_BATCH):
        yield from read(rows[start : start + TEXT_BATCH])
