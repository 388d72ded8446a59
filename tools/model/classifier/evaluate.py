"""A classifier on disk: what it makes of held-out rows, and how large it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    folder: Path, texts: Sequence[str], labels: Sequence[str | None], context: int, advance: Advance = silent
) -> Evaluation:
    """Measure a saved classifier on rows that it was not trained on.

    Args:
        labels: what the rows are; those without a label are passed over, and one of a class that the classifier does
            not know is answered wrongly.

    Raises:
        InputError: the folder holds no usable classifier, or no row has a label.
    """
    from sklearn.metrics import f1_score

    there = [at for at, label in enumerate(labels) if label]
    if not there:
        raise InputError(f"no held-out row has a label to measure {folder} by")
    with quiet():
        model, tokenizer = load_classifier(folder)
        logits = logits_of(model, tokenizer, [texts[at] for at in there], context, advance)
    truth = np.array([labels[at] for at in there], dtype=object)
    said = np.array([model.config.id2label[at] for at in logits.argmax(axis=1).tolist()], dtype=object)
    weights = list(model.parameters())
    return Evaluation(
        macro_f1=float(f1_score(truth, said, labels=sorted(set(truth)), average="macro", zero_division=0.0)),
        accuracy=float((truth == said).mean()),
        parameters=sum(one.numel() for one in weights),
        nonzero=sum(int(one.count_nonzero()) for one in weights),
        size_bytes=weight_bytes(folder),
    )
