"""The final model: trained on the curated text, written in each format, measured, and one of them named."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...state import events
from ...state.canonical import sha256_file, sha256_json
from ...state.errors import IntegrityError
from ...state.params.final_model import GGUF_FORMATS
from ...state.phrases import Advance, silent
from ...state.values import ModelFigures, Values
from ...tools.model.pick import pick_final
from ..session import Session
from ..view import View
from .base import Draft, Step
from .finish import Written, files_below, repeated

if TYPE_CHECKING:
    from ...tools.model.perplexity import Evaluation

TEXT_BATCH = 4096


@dataclass(frozen=True)
class Models(Written):
    """The models that a step wrote; and the formats that they cannot be written in, and why."""

    models: tuple[ModelFigures, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


class Train(Step[Models | None]):
    """Train the final small language model on the curated text and score it on the anchor. None: it is left out."""

    name = "train"
    unit = "tokens"
    takes = "the figures of the trained model"

    def total(self, view: View) -> int | None:
        return view.config.train.tokens

    def measure(self, session: Session, view: View, advance: Advance) -> Models | None:
        if _why_not(view):
            return None
        from ...tools.model.perplexity import evaluate
        from ...tools.model.train import train

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
        model = _figures("dense", evaluation, evaluation).model_copy(update={"parameters": result.parameters})
        fields = {
            "tokens": result.tokens,
            "epochs": result.epochs,
            "vocabulary": result.vocabulary,
            "losses": list(result.losses),
            **base,
        }
        return Models(files_below(view.run.root, "model/dense"), fields, (model,))

    def logged(self, view: View, event: events.Train) -> Models | None:
        if _why_not(view):
            return None
        names = {"tokens", "epochs", "vocabulary", "losses"}
        if view.config.train.mode != "scratch":
            names |= {"base_sha256", "base_perplexity"}
        fields = event.model_dump(include=names)
        models = tuple(_sized(view, model) for model in event.state.values.models)
        return Models(files_below(view.run.root, "model/dense"), fields, models)

    def derive(self, view: View, measured: Models | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log tells of no model, or of another.
        """
        if measured is None:
            return Draft(outcome="skipped", reasons=(_why_not(view),))
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
    return "" if view.text(view.anchor()).str.len_bytes().sum() else "the rows have no text"


def _shuffled_text(view: View) -> Iterator[str]:
    """The curated training text in a random order, a batch at a time; rows that are repeated stand so often."""
    rows, again = view.kept(), repeated(view)
    if again is not None:
        rows = np.repeat(again["row"].to_numpy(), again["repeat"].to_numpy())
    order = np.random.default_rng(view.seed(6)).permutation(len(rows))
    for start in range(0, len(rows), TEXT_BATCH):
        yield from view.text(rows[order[start : start + TEXT_BATCH]]).to_list()


class Quantise(Step[Models | None]):
    """Export the trained model, read each format back, score it on the same text, and name the final one.

    None: there is no model.
    """

    name = "quantise"
    unit = "formats"
    takes = "the figures of the quantised models"

    def total(self, view: View) -> int | None:
        return 1 + len(view.config.quantise.formats)  # the dense one is read again, to compare with

    def measure(self, session: Session, view: View, advance: Advance) -> Models | None:
        if not view.values.models:
            return None
        from ...tools.model.perplexity import evaluate
        from ...tools.model.quantise import export

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
            models += (_figures(name, evaluate(folder, anchor, context), dense),)
            advance(1)
        return Models(_quantised(view), models=models, left_out=left_out)

    def logged(self, view: View, event: events.StepEvent) -> Models | None:
        if not view.values.models:
            return None
        exports = (_sized(view, model) for model in event.state.values.models[1:])
        return Models(_quantised(view), models=(*view.values.models[:1], *exports), left_out=_left_out(view))

    def derive(self, view: View, measured: Models | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log tells of other models than the configuration names.
        """
        if measured is None:
            return Draft(outcome="skipped", reasons=("there is no trained model",))
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
    """The formats that the trained model cannot be written in, and why; one from scratch can in all."""
    if view.config.train.mode == "scratch":
        return {}
    from ...tools.model.quantise import why_not

    reasons = {name: why_not(view.run.model / "dense", name) for name in view.config.quantise.formats}
    return {name: why for name, why in reasons.items() if why}


def _quantised(view: View) -> dict[str, str]:
    return files_below(view.run.root, *(f"model/{name}" for name in view.config.quantise.formats))


def _figures(name: str, found: "Evaluation", dense: "Evaluation") -> ModelFigures:
    """The figures of a model beside those of the dense one."""
    in_transformers = name not in GGUF_FORMATS  # GGUF was read back by Transformers, but that is not what will run it
    return ModelFigures(
        name=name,
        size_bytes=found.size_bytes,
        perplexity=round(found.perplexity, 4),
        bits_per_byte=round(found.bits_per_byte, 6),
        answer=found.answer,
        memory_bytes=found.memory_bytes,
        agreement=round(found.agreement(dense), 4),
        speed=round(found.tokens_per_second / dense.tokens_per_second, 2) if in_transformers else None,
    )


def _sized(view: View, model: ModelFigures) -> ModelFigures:
    """The figures with the size that the model's files have."""
    from ...tools.model.checkpoint import weight_bytes

    if model.name not in ("dense", *view.config.quantise.formats):
        return model  # no name of a folder of ours: the event is refused
    return model.model_copy(update={"size_bytes": weight_bytes(view.run.model / model.name)})
