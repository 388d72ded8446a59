"""The final model, trained on the curated text and measured on the anchor."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ....state import events
from ....state.canonical import sha256_file, sha256_json
from ....state.errors import IntegrityError
from ....state.params.final_model import TrainParams
from ....state.phrases import Advance, silent
from ....state.values import Values
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..finish import files_below, repeated
from .figures import Models, figures, sized

TEXT_BATCH = 4096


class Train(Step[Models | None]):
    """Train the final small language model on the curated text and score it on the anchor. None: it is left out."""

    name = "train"
    unit = "tokens"
    takes = "the figures of the trained model"

    def total(self, view: View) -> int | None:
        params = view.config.train
        if params.prune == "none":
            return params.tokens
        from ....tools.model.prune import RECOVERY

        return params.tokens + params.tokens // RECOVERY

    def measure(self, session: Session, view: View, advance: Advance) -> Models | None:
        if _why_not(view):
            return None
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
        }
        return Models(_trained(view), fields, (model,))

    def logged(self, view: View, event: events.Train) -> Models | None:
        if _why_not(view):
            return None
        names = {"tokens", "epochs", "vocabulary", "losses"}
        if view.config.train.begins_from is not None:
            names |= {"base_sha256", "base_perplexity"}
        pruned = view.config.train.prune != "none"
        fields = event.model_dump(include=names | {"unpruned_perplexity"} if pruned else names)
        models = tuple(sized(view, model) for model in event.state.values.models)
        return Models(_trained(view), fields | (_left(view) if pruned else {}), models)

    def derive(self, view: View, measured: Models | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log tells of no model, or of another.
        """
        if measured is None:
            return Draft(outcome="skipped", reasons=(_why_not(view),))
        if [model.name for model in measured.models] != ["dense"]:
            raise IntegrityError("the model that was trained is not told of")
        fields, after = measured.fields, measured.models[0].perplexity
        said = f"train: {fields['tokens']:,} tokens, {fields['epochs']} passes over the text"
        pruned: tuple[str, ...] = ()
        if view.config.train.prune != "none":
            pruned = (_pruned(view.config.train, fields, after),)
        if view.config.train.distil_from is not None:
            said = f"{said}, held-out perplexity of the teacher {fields['base_perplexity']}, of its student"
            said = f"{said} {fields['unpruned_perplexity'] if pruned else after}"
        elif view.config.train.mode != "scratch":
            tuned = fields["unpruned_perplexity"] if pruned else after
            said = f"{said}, {view.config.train.mode} fine-tuning: held-out perplexity"
            said = f"{said} {fields['base_perplexity']} → {tuned}"
        return Draft(
            values=Values(models=measured.models),
            inputs=("ledger", "text", *(("assignments",) if view.config.outcome.repeat > 1 else ())),
            fields=fields,
            files=measured.files,
            reasons=pruned,
            lines=((said, ""), *((one, "") for one in pruned)),
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
    return "" if view.text(view.anchor()).str.len_bytes().sum() else "the rows have no text"


def _shuffled_text(view: View) -> Iterator[str]:
    """The curated training text in a random order, a batch at a time; rows that are repeated stand so often."""
    rows, again = view.kept(), repeated(view)
    if again is not None:
        rows = np.repeat(again["row"].to_numpy(), again["repeat"].to_numpy())
    order = np.random.default_rng(view.seed(6)).permutation(len(rows))
    for start in range(0, len(rows), TEXT_BATCH):
        yield from view.text(rows[order[start : start + TEXT_BATCH]]).to_list()
