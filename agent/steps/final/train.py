"""The final model, trained on the curated text and measured on the anchor."""

from collections.abc import Iterator
from pathlib import Path

from ....state import events
from ....state.canonical import sha256_file, sha256_json
from ....state.errors import IntegrityError
from ....state.phrases import Advance, silent
from ....state.values import Values
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..finish import files_below
from .classifier import Classified, classified, train_and_ask, why_no_classifier
from .figures import Models, figures, shuffled_rows, sized

TEXT_BATCH = 4096


class Train(Step[Models | Classified | None]):
    """Train the final small model on the curated rows and score it on the anchor. None: it is left out."""

    name = "train"
    unit = "tokens"
    takes = "the figures of the trained model"

    def total(self, view: View) -> int | None:
        return None if view.config.train.mode == "classifier" else view.config.train.tokens

    def measure(self, session: Session, view: View, advance: Advance) -> Models | Classified | None:
        if _why_not(view):
            return None
        if view.config.train.mode == "classifier":
            return train_and_ask(session, view, advance)
        from ....tools.model.perplexity import evaluate
        from ....tools.model.train import train

        params, folder = view.config.train, view.run.model / "dense"
        anchor, base = view.text(view.anchor()).to_list(), {}
        if params.model is not None:
            source = Path(params.model).expanduser()
            weights = {path.name: sha256_file(path) for path in source.glob("*.safetensors")}
            with session.step("evaluate", None, "tokens") as read:
                before = evaluate(source, anchor, params.context, advance=read)
            base = {"base_sha256": sha256_json(weights), "base_perplexity": round(before.perplexity, 4)}
        result = train(_shuffled_text(view), params, folder, view.seed(5), advance)
        with session.step("evaluate", None, "tokens") as read:
            evaluation = evaluate(folder, anchor, params.context, advance=read)
        model = figures("dense", evaluation, evaluation).model_copy(update={"parameters": result.parameters})
        fields = {
            "tokens": result.tokens,
            "epochs": result.epochs,
            "vocabulary": result.vocabulary,
            "losses": list(result.losses),
            **base,
        }
        return Models(files_below(view.run.root, "model/dense"), fields, (model,))

    def logged(self, view: View, event: events.Train) -> Models | Classified | None:
        if _why_not(view):
            return None
        if view.config.train.mode == "classifier":
            return Classified.logged(view, event)
        names = {"tokens", "epochs", "vocabulary", "losses"}
        if view.config.train.mode != "scratch":
            names |= {"base_sha256", "base_perplexity"}
        fields = event.model_dump(include=names)
        models = tuple(sized(view, model) for model in event.state.values.models)
        return Models(files_below(view.run.root, "model/dense"), fields, models)

    def derive(self, view: View, measured: Models | Classified | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log tells of no model, or of another.
        """
        if measured is None:
            return Draft(outcome="skipped", reasons=(_why_not(view),))
        if isinstance(measured, Classified):
            return classified(view, measured)
        if [model.name for model in measured.models] != ["dense"]:
            raise IntegrityError("the model that was trained is not told of")
        said = f"train: {measured.fields['tokens']:,} tokens, {measured.fields['epochs']} passes over the text"
        if view.config.train.mode != "scratch":
            before, after = measured.fields["base_perplexity"], measured.models[0].perplexity
            said = f"{said}, {view.config.train.mode} fine-tuning: held-out perplexity {before} → {after}"
        return Draft(
            values=Values(models=measured.models),
            inputs=("ledger", "text", *(("assignments",) if view.config.outcome.repeat > 1 else ())),
            fields=measured.fields,
            files=measured.files,
            lines=((said, ""),),
        )


def _why_not(view: View) -> str:
    """Why no model is trained; empty where one is."""
    if not view.config.train.enabled:
        return "train.enabled is false"
    if view.config.train.mode == "classifier":
        return why_no_classifier(view)
    return "" if view.text(view.anchor()).str.len_bytes().sum() else "the rows have no text"


def _shuffled_text(view: View) -> Iterator[str]:
    """The curated training text in a random order, a batch at a time."""
    rows = shuffled_rows(view)
    for start in range(0, len(rows), TEXT_BATCH):
        yield from view.text(rows[start : start + TEXT_BATCH]).to_list()
