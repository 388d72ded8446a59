"""The trained model in each format, measured, and the final one of them named."""

from ....state import events
from ....state.errors import IntegrityError
from ....state.phrases import Advance, silent
from ....state.values import Values
from ....tools.model.pick import pick_final
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..finish import files_below
from .figures import Models, figures, sized


class Quantise(Step[Models | None]):
    """Export the trained model, read each format back, score it on the same text, and name the final one.

    None: there is no model.
    """

    name = "quantise"
    unit = "formats"
    takes = "the figures of the quantised models"

    def total(self, view: View) -> int | None:
        return (
            None if not view.values.models else 1 + len(view.config.quantise.formats)
        )  # the dense one is read again, to compare with

    def measure(self, session: Session, view: View, advance: Advance) -> Models | None:
        if not view.values.models:
            return None
        from ....tools.model.perplexity import evaluate
        from ....tools.model.quantise import export

        anchor, models = view.text(view.anchor()).to_list(), view.values.models[:1]
        source, context = view.run.model / "dense", view.config.train.context
        dense = evaluate(source, anchor, context)
        advance(1)
        left_out = _left_out(view)
        for name in view.config.quantise.formats:
            if name in left_out:
                continue
            folder = view.run.model / name
            export(source, name, folder)
            models += (figures(name, evaluate(folder, anchor, context), dense),)
            advance(1)
        return Models(_quantised(view), models=models, left_out=left_out)

    def logged(self, view: View, event: events.StepEvent) -> Models | None:
        if not view.values.models:
            return None
        exports = (sized(view, model) for model in event.state.values.models[1:])
        return Models(_quantised(view), models=(*view.values.models[:1], *exports), left_out=_left_out(view))

    def derive(self, view: View, measured: Models | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log tells of other models than the configuration names.
        """
        if measured is None:
            why = (
                "a classifier is not exported in other formats"
                if view.values.classifiers
                else "there is no trained model"
            )
            return Draft(outcome="skipped", reasons=(why,))
        names = ["dense", *(name for name in view.config.quantise.formats if name not in measured.left_out)]
        if [model.name for model in measured.models] != names:
            raise IntegrityError(f"the models are not {', '.join(names)}")
        final = pick_final(measured.models, view.config.quantise, measured.left_out)
        return Draft(
            values=Values(models=measured.models, final_model=final),
            files=measured.files,
            reasons=(final.why, *(f"{name} is left out: {why}" for name, why in measured.left_out.items())),
            lines=((f"final model: {final.name}: {final.why}", ""),),
        )


def _left_out(view: View) -> dict[str, str]:
    """The formats that the trained model cannot be written in, and why; one of the usual shape and tokenizer can in
    all."""
    if view.config.train.begins_from is None and view.config.train.prune != "heads":
        return {}
    from ....tools.model.quantise import why_not

    reasons = {name: why_not(view.run.model / "dense", name) for name in view.config.quantise.formats}
    return {name: why for name, why in reasons.items() if why}


def _quantised(view: View) -> dict[str, str]:
    return files_below(view.run.root, *(f"model/{name}" for name in view.config.quantise.formats))
