"""After the loop: train, quantise, export, publish."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from ...state import events
from ...state.canonical import sha256_file, sha256_json
from ...state.config import GGUF_FORMATS
from ...state.errors import IntegrityError, storage_error
from ...state.phrases import Advance, silent
from ...state.rows import check_ledger, counts
from ...state.values import ModelFigures, Values
from ...tools.model.pick import pick_final
from ...tools.write.export import Curated, ExportResult, Synthetic, content_sha256, originals, splits_of
from ...tools.write.export import export as export_rows
from ...tools.write.removed import write_removed
from ..account.publish import pages, write_pages
from ..account.removed import gone
from ..account.summary import peak_memory_mb
from ..session import Session
from ..view import View
from .base import Draft, Step

if TYPE_CHECKING:
    from ...tools.model.perplexity import Evaluation

TEXT_BATCH = 4096


@dataclass(frozen=True)
class _Written:
    """Files that a step wrote (path below the run directory → SHA-256), and what was measured of them."""

    files: Mapping[str, str]
    models: tuple[ModelFigures, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)  # formats that the model cannot be written in, and why


def _below(root: Path, *folders: str) -> dict[str, str]:
    """The files below folders of a run, or such files themselves, with their hashes."""
    paths = [path for folder in folders for path in (root / folder, *sorted((root / folder).rglob("*")))]
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in paths if path.is_file()}


class Train(Step[_Written | None]):
    """Train the final small language model on the curated text and score it on the anchor. None: it is left out."""

    name = "train"
    unit = "tokens"
    takes = "the figures of the trained model"

    def total(self, view: View) -> int | None:
        return view.config.train.tokens

    def measure(self, session: Session, view: View, advance: Advance) -> _Written | None:
        if _why_not(view):
            return None
        from ...tools.model.perplexity import evaluate
        from ...tools.model.train import train

        params, folder = view.config.train, view.run.model / "dense"
        anchor, base = view.text(view.anchor()).to_list(), {}
        if params.model is not None:
            source = Path(params.model).expanduser()
            weights = {path.name: sha256_file(path) for path in source.glob("*.safetensors")}
            with session.step("evaluate", None, "tokens") as told:
                before = evaluate(source, anchor, params.context, advance=told)
            base = {"base_sha256": sha256_json(weights), "base_perplexity": round(before.perplexity, 4)}
        result = train(_shuffled_text(view), params, folder, view.seed(5), advance)
        with session.step("evaluate", None, "tokens") as told:
            evaluation = evaluate(folder, anchor, params.context, advance=told)
        model = _figures("dense", evaluation, evaluation).model_copy(update={"parameters": result.parameters})
        fields = {
            "tokens": result.tokens,
            "epochs": result.epochs,
            "vocabulary": result.vocabulary,
            "losses": list(result.losses),
            **base,
        }
        return _Written(_below(view.run.root, "model/dense"), (model,), fields)

    def logged(self, view: View, event: events.Train) -> _Written | None:
        if _why_not(view):
            return None
        told = {"tokens", "epochs", "vocabulary", "losses"}
        if view.config.train.mode != "scratch":
            told |= {"base_sha256", "base_perplexity"}
        fields = event.model_dump(include=told)
        models = tuple(_sized(view, model) for model in event.state.values.models)
        return _Written(_below(view.run.root, "model/dense"), models, fields)

    def derive(self, view: View, measured: _Written | None, advance: Advance = silent) -> Draft:
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
            inputs=("ledger", "text"),
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
    """The curated training text in a random order, a batch at a time."""
    rows = view.kept()
    order = np.random.default_rng(view.seed(6)).permutation(len(rows))
    for start in range(0, len(rows), TEXT_BATCH):
        yield from view.text(rows[order[start : start + TEXT_BATCH]]).to_list()


class Quantise(Step[_Written | None]):
    """Export the trained model, read each format back, score it on the same text, and name the final one.

    None: there is no model.
    """

    name = "quantise"
    unit = "formats"
    takes = "the figures of the quantised models"

    def total(self, view: View) -> int | None:
        return 1 + len(view.config.quantise.formats)  # the dense one is read again, to compare with

    def measure(self, session: Session, view: View, advance: Advance) -> _Written | None:
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
        return _Written(_quantised(view), models, left_out=left_out)

    def logged(self, view: View, event: events.StepEvent) -> _Written | None:
        if not view.values.models:
            return None
        exports = (_sized(view, model) for model in event.state.values.models[1:])
        return _Written(_quantised(view), (*view.values.models[:1], *exports), left_out=_left_out(view))

    def derive(self, view: View, measured: _Written | None, advance: Advance = silent) -> Draft:
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

    told = {name: why_not(view.run.model / "dense", name) for name in view.config.quantise.formats}
    return {name: why for name, why in told.items() if why}


def _quantised(view: View) -> dict[str, str]:
    return _below(view.run.root, *(f"model/{name}" for name in view.config.quantise.formats))


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


class Export(Step[_Written]):
    """Write the curated rows, and those that went."""

    name = "export"

    def total(self, view: View) -> int | None:
        return view.ledger().height

    def measure(self, session: Session, view: View, advance: Advance) -> _Written:
        check_ledger(view.ledger(), view.values.ingested)
        result = write_curated(view, view.run.curated, advance)
        files = {f"{view.run.curated.name}/{name}": sha for name, sha in result.files.items()}
        write_gone(view, view.run.removed)
        return _Written({**files, **_below(view.run.root, view.run.removed.name)}, fields={"rows": result.rows})

    def logged(self, view: View, event: events.Export) -> _Written:
        tally = view.ledger().filter(pl.col("status") != "removed").group_by("split").len()
        rows = {**dict.fromkeys(splits_of(view.ledger()), 0), **dict(tally.iter_rows())}
        files = _below(view.run.root, view.run.curated.name, view.run.removed.name)
        return _Written(files, fields={"rows": rows})

    def derive(self, view: View, measured: _Written, advance: Advance = silent) -> Draft:
        ledger = view.ledger()
        check_ledger(ledger, view.values.ingested)
        return Draft(
            values=Values(curated_sha256=content_sha256(_curated(view))),
            inputs=(
                *("ledger", "originals", "text", "assignments", "row_labels", "synthetic", "synthetic_originals"),
                "relabelled",
            ),
            fields={"counts": counts(ledger), **measured.fields},
            files=measured.files,
        )


def _curated(view: View) -> Curated:
    """The curated rows of a run, as they follow from its ledger and its originals."""
    synthetic = None
    if view.has("synthetic", "synthetic_originals"):
        synthetic = Synthetic(view.path("synthetic_originals"), view.frame("synthetic"))
    labels = view.frame("row_labels") if view.has("row_labels") else None
    clusters = view.frame("assignments").select("row", "cluster")
    changed = view.relabelled()
    return Curated(
        view.path("originals"),
        view.ledger(),
        view.texts().fill_null(""),
        clusters,
        labels=labels,
        relabelled=changed if changed.height else None,
        synthetic=synthetic,
    )


def write_curated(view: View, folder: Path, advance: Advance = silent) -> ExportResult:
    """Write the curated rows of a run into ``folder``."""
    return export_rows(_curated(view), folder, advance)


def write_gone(view: View, folder: Path) -> None:
    """Write the removed rows of a run into ``folder``, made if absent, as ``removed-00000.parquet``.

    Raises:
        StorageError: the disk is full or not writable.
    """
    synthetic = view.path("synthetic_originals") if view.has("synthetic", "synthetic_originals") else None
    batches = originals(view.path("originals"), synthetic)
    first = next(batches)

    def parted() -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        for batch in chain([first], batches):
            yield batch.column("row").to_numpy(zero_copy_only=False), batch.drop_columns(["row"])

    try:
        if folder.exists():  # what a killed process left
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise storage_error(error, folder, "writing the removed rows to") from error
    schema = first.drop_columns(["row"]).schema
    write_removed(gone(view), parted(), schema, folder / "removed-00000.parquet")


class Publish(Step[_Written]):
    """Write the report and the dataset card, which name the head of the log as it stands here."""

    name = "publish"
    unit = "pages"
    takes = "the peak of the memory"

    def measure(self, session: Session, view: View, advance: Advance) -> _Written:
        peak = peak_memory_mb()
        write_pages(pages(view, peak), view.run)
        return _Written(_pages(view), fields={"peak_memory_mb": peak})

    def logged(self, view: View, event: events.Publish) -> _Written:
        return _Written(_pages(view), fields={"peak_memory_mb": event.peak_memory_mb})

    def derive(self, view: View, measured: _Written, advance: Advance = silent) -> Draft:
        return Draft(fields=measured.fields, files=measured.files)


def _pages(view: View) -> dict[str, str]:
    return _below(view.run.root, view.run.report.name, view.run.card.name)
