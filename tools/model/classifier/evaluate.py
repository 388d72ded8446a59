"""A classifier on disk: what it makes of held-out rows, how often it is right, and how large it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....state.errors import InputError
from ....state.phrases import Advance, silent
from ..checkpoint import quiet, weight_bytes
from .encoder import load_classifier, logits_of


@dataclass(frozen=True)
class Evaluation:
    """``nonzero``: of the ``parameters``, those that are not 0. ``size_bytes``: of the weights on disk."""

    macro_f1: float
    accuracy: float
    parameters: int
    nonzero: int
    size_bytes: int


def evaluate(
    folder: Path, texts: Sequence[str], labels: Sequence[str], context: int, advance: Advance = silent
) -> Evaluation:
    """Measure a saved classifier on texts that it was not trained on, and their labels.

    Raises:
        InputError: the folder holds no usable classifier, or there are no texts.
    """
    with quiet():
        model, tokenizer = load_classifier(folder)
        said = answers_of(model, tokenizer, texts, context, advance)
    macro_f1, accuracy = scored(labels, said)
    weights = list(model.parameters())
    return Evaluation(
        macro_f1=macro_f1,
        accuracy=accuracy,
        parameters=sum(one.numel() for one in weights),
        nonzero=sum(int(one.count_nonzero()) for one in weights),
        size_bytes=weight_bytes(folder),
    )


def answers_of(model: Any, tokenizer: Any, texts: Sequence[str], context: int, advance: Advance = silent) -> list[str]:
    """The label that a classifier gives each text."""
    logits = logits_of(model, tokenizer, texts, context, advance)
    return [str(model.config.id2label[at]) for at in logits.argmax(axis=1).tolist()]


def scored(truth: Sequence[str], said: Sequence[str]) -> tuple[float, float]:
    """Macro-F1 over the classes of ``truth``, and accuracy."""
    from sklearn.metrics import f1_score

    right, answered = np.array(truth, dtype=object), np.array(said, dtype=object)
    classes = sorted(set(truth))
    macro = f1_score(right, answered, labels=classes, average="macro", zero_division=0.0)
    return float(macro), float((right == answered).mean())


def parameters_in(folder: Path) -> int:
    """How many parameters the weight files of a saved model hold, read from their heads alone.

    Raises:
        InputError: a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "np") as file:
                total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot read {path}: {error}") from error
    return total
