"""The small language model that every cell trains: one shape, one tokenizer for all texts that are compared, one budget
of tokens."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...state.params.final_model import TrainParams
from ...tools.model.perplexity import evaluate
from ...tools.model.train import fit_tokenizer, train
from ..experiment import Record

_HELD_OUT = 32_768  # tokens that a model is measured on


def budget(tokens: int, epochs: int) -> TrainParams:
    """So many tokens, and at most so many passes over the text: half the layers and half the vocabulary of the default,
    so that a training takes half a minute."""
    return TrainParams(vocab_size=2048, layers=2, tokens=tokens, epochs=epochs)


def tokenizer_of(texts: Sequence[str]) -> Any:
    """What all models of one comparison read with, a ``tokenizers.Tokenizer`` learned from ``texts``."""
    return fit_tokenizer(texts, budget(1000, 1).vocab_size)


def tokens_in(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """The tokens of each text, its end among them: int64 [n]."""
    return np.array([len(one.ids) + 1 for one in tokenizer.encode_batch_fast(list(texts))], dtype=np.int64)


def taught(texts: Sequence[str], held_out: Sequence[str], tokenizer: Any, params: TrainParams, seed: int) -> Record:
    """What a model that is trained on ``texts``, in the order given, makes of ``held_out``.

    Returns:
        ``bits_per_byte`` and ``perplexity`` (per token) of the held-out texts, ``epochs`` (passes over
        what of the texts was read), and ``loss``: that of the last twentieth of the training, in nats per token.

    Raises:
        InputError: the texts are shorter than one sequence, or none is held out.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        made = train(texts, params, folder, seed, tokenizer=tokenizer)
        found = evaluate(folder, held_out, params.context, _HELD_OUT)
    return {
        "bits_per_byte": found.bits_per_byte,
        "perplexity": found.perplexity,
        "epochs": made.epochs,
        "loss": made.losses[-1],
    }
