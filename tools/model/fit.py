"""What every training of a language model shares: rows as one stream of tokens, and the spending of the budget."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...state.errors import InputError, UsageError
from ...state.params.final_model import TrainParams
from ...state.phrases import Advance
from .checkpoint import native_bfloat16
from .resume import Resume

_PIECE_CHARACTERS = 100_000  # a longer row is encoded in pieces, so that one huge row does not fill the memory
_WARM_UP, _FLOOR, _DECAY, _CLIP = 0.05, 0.1, 0.1, 1.0

Piece = tuple[str, bool]  # text, and whether it ends its row
Loss = Callable[[Any, Any], Any]  # of a model on a batch of token ids, int64 [sequences, tokens]: a number to lower


@dataclass(frozen=True)
class TrainResult:
    """A trained model on disk; ``losses`` are means over about twenty equal stretches, in nats per token."""

    path: Path
    parameters: int
    vocabulary: int
    tokens: int  # trained on, repeats counted
    epochs: float  # passes over the text, or over as much of it as the budget reads
    losses: tuple[float, ...]
    unpruned: Path | None = None  # the model as it was before a part of it was taken out
    chat_rows: int = 0  # rows of a pass that the model's chat template spelt …
    plain_rows: int = 0  # … and those beside them that are no conversations, or that it refused


def result_of(out: Path, model: Any, tokens: np.ndarray, losses: np.ndarray, params: TrainParams) -> TrainResult:
    """What a training came to; ``tokens`` (int32 [n]) are those of one pass, ``losses`` (float [steps]) those of
    every step."""
    spent = len(losses) * params.batch_size * params.context
    return TrainResult(
        path=out,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary=model.config.vocab_size,
        tokens=spent,
        epochs=round(spent / len(tokens), 2),
        losses=tuple(float(part.mean()) for part in np.array_split(losses, min(20, len(losses)))),
        unpruned=None if params.prune == "none" else unpruned_beside(out),
    )


def unpruned_beside(out: Path) -> Path:
    """Where the model stands from which the one at ``out`` was pruned."""
    return out.with_name(f"{out.name}-unpruned")


def pieces(rows: Iterable[str]) -> Iterator[Piece]:
    """The rows in pieces of bounded length, each with whether it ends its row; empty rows are passed over."""
    for row in rows:
        for start in range(0, len(row), _PIECE_CHARACTERS):
            yield row[start : start + _PIECE_CHARACTERS], start + _PIECE_CHARACTERS >= len(row)


def until(pieces: Iterator[Piece], characters: int) -> Iterator[Piece]:
    """Pieces until they sum to ``characters``; the iterator goes on after them."""
    for piece, ends in pieces:
        yield piece, ends
        characters -= len(piece)
        if characters <= 0:
            return


def encode(tokenizer: Any, end: int, pieces: Iterator[Piece], params: TrainParams) -> np.ndarray:
    """The first ``params.tokens`` token ids, int32 [n], with ``end`` after each row; what lies beyond stays unread.

    Args:
        tokenizer: a ``tokenizers.Tokenizer``.

    Raises:
        InputError: they are fewer than one sequence.
    """
    budget = params.tokens
    tokens = np.empty(budget, dtype=np.int32)
    filled = 0
    while filled < budget:
        batch = list(until(pieces, min(10 * _PIECE_CHARACTERS, 8 * (budget - filled))))
        if not batch:
            break
        encodings = tokenizer.encode_batch_fast([piece for piece, _ in batch], add_special_tokens=False)
        for encoding, (_, ends) in zip(encodings, batch, strict=True):
            ids = [*encoding.ids, end] if ends else encoding.ids
            ids = ids[: budget - filled]
            tokens[filled : filled + len(ids)] = ids
            filled += len(ids)
    if filled < params.context:
        raise InputError(
            f"the text to train on has only {filled} tokens, less than one sequence of {params.context}: "
            "lower train.context or keep more rows"
        )
    return tokens[:filled]


def next_token(model: Any, batch: Any) -> Any:
    """Cross-entropy of the next tokens, in nats per token."""
    return model(input_ids=batch, labels=batch, use_cache=False).loss


def fit(
    model: Any,
    tokens: np.ndarray,
    params: TrainParams,
    seed: int,
    advance: Advance,
    resume: Resume,
    loss_of: Loss = next_token,
) -> np.ndarray:
    """Spend the budget on those parameters of ``model`` that are to learn.

    Args:
        tokens: int32 [n].
        resume: the state of this training, from which it goes on; kept now and then.
        loss_of: what is to become small.

    Returns:
        The loss of every step, float [steps], in nats per token.

    Raises:
        UsageError: the learning rate diverges.
        StorageError: the disk is full.
    """
    import torch

    sequences = torch.from_numpy(tokens[: len(tokens) // params.context * params.context]).view(-1, params.context)
    budget = min(params.tokens, params.epochs * len(tokens))
    steps = max(1, budget // (params.batch_size * params.context))
    order = _order(len(sequences), steps * params.batch_size, seed)
    learn = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in learn if parameter.ndim >= 2]
    vectors = [parameter for parameter in learn if parameter.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": _DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=params.peak,
        betas=(0.9, 0.95),
        fused=True,
    )
    losses = np.empty(steps)
    done = resume.restore(model, optimizer, losses)
    if done:
        advance(done * params.batch_size * params.context)
    model.train()
    for step, chosen in enumerate(order.reshape(steps, params.batch_size)[done:], done):
        batch = sequences[torch.from_numpy(chosen)].long()
        with torch.autocast("cpu", torch.bfloat16, enabled=native_bfloat16()):
            loss = loss_of(model, batch)
        losses[step] = loss.item()
        if not math.isfinite(losses[step]):
            raise UsageError(
                f"training diverged at step {step + 1} of {steps}: lower train.learning_rate = {params.peak}"
            )
        for group in optimizer.param_groups:
            group["lr"] = params.peak * _schedule(step, steps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learn, _CLIP)
        optimizer.step()
        optimizer.zero_grad()
        advance(batch.numel())
        resume.save(model, optimizer, losses[: step + 1])
    return losses


def _order(sequences: int, draws: int, seed: int) -> np.ndarray:
    """``draws`` sequence numbers: permutation after permutation, so that each is drawn as often as the others."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(sequences) for _ in range(-(draws // -sequences))])[:draws]


def _schedule(step: int, steps: int) -> float:
    """The share of the peak learning rate at ``step``."""
    warm = max(1, round(_WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2
