"""The encoder that classifiers begin from, with a head that answers at once; and classifiers on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....state.errors import InputError
from ....state.phrases import Advance, silent
from ...judge.learned import STRENGTH
from ...vectors.encoders import minilm
from ..checkpoint import check_replaceable, model_settings, quiet, save_model
from .rows import Rows, padded, spelled

_READ_AT_ONCE = 64
_ITERATIONS = 200
_AVERAGED = 1000.0  # how much more the mean of the tokens weighs than the token that it is added to


def encoder(names: Sequence[str], context: int) -> tuple[Any, Any]:
    """The embedded model (``vectors/encoders/minilm``) as a classifier of ``names`` that knows nothing yet, and its
    tokenizer; what its head reads is the first token of the last layer.

    Raises:
        InputError: the model's package is not installed.
        IntegrityError: its weights are not the published ones.
    """
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    folder = minilm.model_folder()
    minilm.check_weights(folder)
    model: Any = BertForSequenceClassification.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, **labelled_as(names)
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.model_max_length = min(context, minilm.POSITIONS)
    with torch.no_grad():  # what was published there is of no use: the embedder was trained without it
        model.bert.pooler.dense.weight.copy_(torch.eye(minilm.DIMENSIONS))
        model.bert.pooler.dense.bias.zero_()
    return model.eval(), tokenizer


def labelled_as(names: Sequence[str]) -> dict[str, Any]:
    """Settings of a model that answers with ``names``."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: at for at, name in enumerate(names)}}


def averaging(model: Any) -> Any:
    """The encoder with one layer more, which puts the mean of all tokens in the place of the first.

    The embedder was trained by that mean, which Transformers' head does not read. The layer attends to all tokens alike
    (queries and keys are 0) and adds their mean times a thousand; its normalisation leaves the direction of the mean,
    and the feed-forward network adds nothing. The head is given vectors of nearly unit length.
    """
    import torch
    from transformers import BertForSequenceClassification

    config = model.config.to_dict() | {"num_hidden_layers": model.config.num_hidden_layers + 1}
    longer: Any = BertForSequenceClassification(type(model.config).from_dict(config))
    longer.load_state_dict(model.state_dict(), strict=False)
    layer, size = longer.bert.encoder.layer[-1], model.config.hidden_size
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
        layer.attention.self.value.weight.copy_(torch.eye(size))
        layer.attention.output.dense.weight.copy_(_AVERAGED * torch.eye(size))
        longer.bert.pooler.dense.weight.copy_(size**-0.5 * torch.eye(size))
    return longer.eval()


def fit_head(model: Any, tokenizer: Any, rows: Rows, context: int, strength: float = STRENGTH) -> None:
    """Give a classifier the head that a logistic regression finds for what its frozen encoder makes of ``rows``.

    ``strength``: C, the inverse of the L2 penalty.
    """
    import torch
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    head, model.classifier = model.classifier, torch.nn.Identity()
    features = logits_of(model, tokenizer, rows.texts, context)
    model.classifier = head
    with threadpool_limits(1):
        learned = LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(features, rows.classes)
    weights, bias = learned.coef_, learned.intercept_
    if len(rows.names) == 2:  # of two classes the regression gives the second alone
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(bias))


def logits_of(model: Any, tokenizer: Any, texts: Sequence[str], context: int, advance: Advance = silent) -> np.ndarray:
    """What a classifier makes of texts, float32 [n, classes]; ``advance`` is told the texts of each batch.

    Raises:
        InputError: there are none.
    """
    import torch

    ids = spelled(tokenizer, texts, context)
    order, found = np.argsort([len(row) for row in ids], kind="stable"), None
    with torch.inference_mode():
        for start in range(0, len(order), _READ_AT_ONCE):
            chosen = order[start : start + _READ_AT_ONCE]
            batch = padded([ids[at] for at in chosen], tokenizer.pad_token_id)
            logits = model.eval()(**batch).logits.float().numpy()
            found = np.empty((len(ids), logits.shape[1]), dtype=np.float32) if found is None else found
            found[chosen] = logits
            advance(len(chosen))
    if found is None:
        raise InputError("there are no texts for the classifier to read")
    return found


def load_classifier(folder: Path) -> tuple[Any, Any]:
    """The classifier and the tokenizer of a local folder, on the CPU, for inference; nothing else is read.

    Raises:
        InputError: it is missing, incomplete or damaged, or has its weights only as pickle.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model_settings(folder)
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **local
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"cannot load the classifier in {folder}: {' '.join(str(error).split())}") from error
    model, found = loaded
    if found["missing_keys"]:
        raise InputError(f"the weights in {folder} are incomplete: {min(found['missing_keys'])} is missing")
    return model.eval(), tokenizer


def save_classifier(model: Any, tokenizer: Any, out: Path) -> None:
    """Write a classifier and its tokenizer into the folder ``out``, as Transformers reads them; whole or not at all.

    Raises:
        UsageError: ``out`` holds something else than a model.
        StorageError: ``out`` cannot be written.
    """
    check_replaceable(out)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with quiet():
        save_model(model, tokenizer, out)
