"""Perplexity, bits per byte, memory and speed of a language model on disk, in any format, on held-out text."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...state.errors import InputError
from ...state.phrases import Advance, silent
from .checkpoint import load_model, memory_bytes, quiet, weight_bytes

if TYPE_CHECKING:
    import torch

_MOST_TOKENS = 16_384  # models are compared on the same text, and a quantised one reads but 3,000 a second on a CPU
_EVALUATION_TOKENS = 1024  # per forward pass: bounds the logits, which are the largest tensor
_PROMPT_TOKENS, _ANSWER_TOKENS = 16, 20


@dataclass(frozen=True)
class Evaluation:
    """A saved model on held-out text; ``size_bytes`` is what its weight files take on disk, ``memory_bytes`` what its
    weights take in memory. ``likeliest`` is what it takes for the next token at each place, int32 [tokens]."""

    perplexity: float  # per token; comparable only between models with the same tokenizer
    bits_per_byte: float  # comparable between any two models
    tokens: int
    bytes: int
    size_bytes: int
    memory_bytes: int
    answer: str
    tokens_per_second: float  # read, on this CPU by Transformers: the median over the batches
    likeliest: np.ndarray = field(compare=False, repr=False)

    def agreement(self, other: Evaluation) -> float:
        """The share of the places at which both models, measured on the same tokens, take the same one for the next."""
        return float((self.likeliest == other.likeliest).mean())


def evaluate(
    model_dir: Path, held_out: Sequence[str], context: int, max_tokens: int = _MOST_TOKENS, advance: Advance = silent
) -> Evaluation:
    """Measure a saved causal language model, dense, quantised or GGUF, on text it was not trained on.

    Every token is predicted exactly once, from at most ``context - 1`` tokens before it (fewer where the model
    knows fewer positions); the end-of-text token after each row counts as a token and as no byte. The answer is
    the greedy continuation, 20 tokens, of the first 16 tokens of the text.

    Args:
        model_dir: what ``load_model`` reads; nothing else is read.
        held_out: rows, taken in order until the next would pass ``max_tokens``; a row is cut to
            ``max_tokens / 4`` characters, so that no single one decides.
        advance: told the tokens of each batch.

    Raises:
        InputError: the folder holds no usable model, only pickled weights, or there is no text.
    """
    import torch

    with quiet(), torch.inference_mode():
        model, tokenizer = load_model(model_dir)
        end = tokenizer.eos_token_id
        if end is None:
            raise InputError(f"the tokenizer in {model_dir} has no end-of-text token to part the rows with")
        ids, size = _held_out_ids(tokenizer, held_out, end, max_tokens)
        if not size:
            raise InputError(f"there is no held-out text to evaluate {model_dir} on")
        if max(ids) >= model.get_input_embeddings().num_embeddings:
            raise InputError(f"the tokenizer in {model_dir} is not the model's: it has tokens the model does not know")
        window = min(context, getattr(model.config, "max_position_embeddings", None) or context)
        nats, rates, likeliest = 0.0, [], []
        for batch in _windows(torch.tensor(ids), window):
            began = time.perf_counter()
            logits = model(input_ids=batch, use_cache=False).logits[:, :-1].float()
            rates.append(batch.numel() / (time.perf_counter() - began))
            nats += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum"
            ).item()
            likeliest.append(logits.argmax(-1).flatten().numpy().astype(np.int32))
            advance(batch[:, 1:].numel())
        answer = tokenizer.decode(_continue(model, ids[1 : 1 + _PROMPT_TOKENS], end, window), skip_special_tokens=True)
    predicted = len(ids) - 1
    perplexity = torch.tensor(nats / predicted).exp().item()
    if not math.isfinite(perplexity):
        raise InputError(f"the model in {model_dir} gives no finite loss: its weights are damaged")
    return Evaluation(
        perplexity=perplexity,
        bits_per_byte=nats / math.log(2) / size,
        tokens=predicted,
        bytes=size,
        size_bytes=weight_bytes(model_dir),
        memory_bytes=memory_bytes(model, model_dir),
        answer=answer,
        tokens_per_second=float(np.median(rates)),
        likeliest=np.concatenate(likeliest),
    )


def _held_out_ids(tokenizer: Any, rows: Sequence[str], end: int, max_tokens: int) -> tuple[list[int], int]:
    """Token ids with ``end`` before, between and after the rows, and the UTF-8 bytes of the text they spell."""
    ids, size = [end], 0
    for row in filter(None, rows):
        # A token is at least one byte and a character at most four, so that a row so cut always fits.
        text = row[: max_tokens // 4]
        encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if len(ids) + len(encoded) > max_tokens and size:
            break
        ids += [*encoded, end]
        size += len(text.encode())
    return ids, size


def _windows(ids: torch.Tensor, context: int) -> Iterator[torch.Tensor]:
    """Batches of windows that overlap by one token: the last of one is the first, unpredicted one of the next."""
    import torch

    if len(ids) >= context:
        full = ids.unfold(0, context, context - 1)
        yield from torch.split(full, max(1, _EVALUATION_TOKENS // context))
        ids = ids[len(full) * (context - 1) :]
    if len(ids) > 1:
        yield ids[None]


def _continue(model: Any, prompt: list[int], end: int, window: int) -> list[int]:
    """The 20 likeliest next tokens one by one, the end of text excepted so that there is something to show."""
    import torch

    # Not generate(): it would follow the sampling settings that lie beside the weights.
    ids = list(prompt)
    for _ in range(_ANSWER_TOKENS):
        logits = model(input_ids=torch.tensor([ids[-window:]]), use_cache=False).logits[0, -1]
        logits[end] = -torch.inf
        ids.append(int(logits.argmax()))
    return ids[len(prompt) :]
