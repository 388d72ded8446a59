"""The final classifier of a run: the embedder with a head, fine-tuned whole, or a small student of that."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....state.canonical import sha256_bytes
from ....state.params.final_model import TrainParams
from ....state.phrases import Advance, silent
from ..checkpoint import check_replaceable, quiet
from ..resume import Resume, resume_beside
from .distil import distil
from .encoder import averaging, encoder, fit_head, logits_of, save_classifier
from .inherit import student_of
from .rows import Rows, rows_of, spelled
from .train import Schedule, fine_tune

STUDIES = 2  # how many times as long as its teacher a student learns: a pass costs it a sixth
_STUDENT_PEAK = 1e-3  # five of six layers are gone, and its token vectors begin nearly anew


@dataclass(frozen=True)
class Trained:
    """Folders of the classifiers that were written, the final one last, its classes, and the losses of its training.

    ``losses``: means of about twenty stretches; of a head alone there are none.
    """

    folders: tuple[Path, ...]
    classes: tuple[str, ...]
    losses: tuple[float, ...] = ()


def train_classifier(
    texts: Sequence[str], labels: Sequence[str | None], params: TrainParams, out: Path, seed: int,
    advance: Advance = silent,
) -> Trained:  # fmt: skip
    """Train the classifier that ``params.classifier`` names and save it in ``out``.

    ``head`` learns a logistic regression on the embedded model's vectors. ``encoder`` fine-tunes the embedded model,
    too, in ``params.epochs`` passes and ``params.tokens`` tokens at most. ``distilled`` trains that teacher, saves it
    beside ``out`` as ``teacher``, and teaches a student of one layer its answers, in twice as many passes. What is
    saved is read by Transformers' AutoModelForSequenceClassification and answers with the labels. The same rows,
    parameters and seed give the same bytes on the same kind of CPU, also after a kill, from which a training goes on.

    Args:
        labels: of each text; those without one (None) teach a student alone.
        advance: told the tokens of each batch that is trained on.

    Raises:
        InputError: the labels name fewer than two classes, or the embedded model is not installed.
        IntegrityError: its weights are not the published ones.
        UsageError: the learning rate diverges, or ``out`` holds something else than a model.
        StorageError: ``out`` cannot be written.
    """
    rows = rows_of(texts, labels)
    check_replaceable(out)
    with quiet():
        if params.kind == "head":
            model, tokenizer = headed(rows.labelled(), params.context)
            save_classifier(model, tokenizer, out)
            return Trained((out,), rows.names)
        first = out if params.kind == "encoder" else out.parent / "teacher"
        model, tokenizer, losses, taught = tuned(rows.labelled(), params, seed, first, advance)
        save_classifier(model, tokenizer, first)
        if params.kind == "encoder":
            taught.forget()
            return Trained((out,), rows.names, losses)
        answers = logits_of(model, tokenizer, texts, params.context)
        student, reader = student_of(model, tokenizer, texts)
        schedule = studied(params, seed)
        resume = _resume(out, student, reader, texts, answers, schedule)
        losses = distil(student, reader, texts, answers, schedule, resume, advance)
        save_classifier(student, reader, out)
        resume.forget()
        taught.forget()  # not before: a student that is killed wants its teacher again
    return Trained((first, out), rows.names, losses)


def headed(rows: Rows, context: int) -> tuple[Any, Any]:
    """The embedded model with a head of its own, and its tokenizer."""
    model, tokenizer = encoder(rows.names, context)
    model = averaging(model)
    fit_head(model, tokenizer, rows, context)
    return model, tokenizer


def tuned(
    rows: Rows, params: TrainParams, seed: int, out: Path, advance: Advance = silent
) -> tuple[Any, Any, tuple[float, ...], Resume]:
    """The embedded model fine-tuned to tell the classes, its tokenizer, the losses on the way, and the state of the
    training, which is kept beside ``out`` until it is forgotten."""
    model, tokenizer = encoder(rows.names, params.context)
    fit_head(model, tokenizer, rows, params.context)
    model.get_input_embeddings().weight.requires_grad_(False)  # those of tokens that no row has would stay behind
    schedule = Schedule(params.epochs, params.peak, params.context, seed, params.tokens)
    resume = _resume(out, model, tokenizer, rows.texts, rows.classes, schedule)
    return model, tokenizer, fine_tune(model, tokenizer, rows, schedule, resume, advance), resume


def studied(params: TrainParams, seed: int) -> Schedule:
    """How a student learns whose teacher learned by ``params``."""
    return Schedule(STUDIES * params.epochs, _STUDENT_PEAK, params.context, seed, STUDIES * params.tokens, head=1.0)


def _resume(
    out: Path, model: Any, tokenizer: Any, texts: Sequence[str], wanted: np.ndarray, schedule: Schedule
) -> Resume:
    """The state of a training on texts, of each of which something is ``wanted``: a class, or logits."""
    ids = spelled(tokenizer, texts, schedule.context)
    tokens = np.fromiter((at for row in ids for at in row), dtype=np.int32)
    return resume_beside(
        out, tokens, model, [len(row) for row in ids], sha256_bytes(wanted.tobytes()), asdict(schedule)
    )
