"""The final small language model: its tokenizer and its training."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...state.config import TrainParams
from ...state.errors import InputError, UsageError
from ...state.phrases import Advance, silent
from .checkpoint import check_replaceable, native_bfloat16, publish, quiet

END = "<|endoftext|>"
_SAMPLE_CHARACTERS = 4_000_000  # text the tokenizer learns from: four thousand merges settle long before
_PIECE_CHARACTERS = 100_000  # a longer row is encoded in pieces, so that one huge row does not fill the memory
_EAGER_CONTEXT = 256  # up to here plain attention beats the fused kernel on a CPU (1.4 times at 128 tokens)
_WARM_UP, _FLOOR, _DECAY, _CLIP = 0.05, 0.1, 0.1, 1.0


@dataclass(frozen=True)
class TrainResult:
    """A trained model on disk; ``losses`` are means over about twenty equal stretches, in nats per token."""

    path: Path
    parameters: int
    vocabulary: int
    tokens: int  # trained on, repeats counted
    epochs: float  # passes over the text, or over as much of it as the budget reads
    losses: tuple[float, ...]


def train(text: Iterable[str], params: TrainParams, out: Path, seed: int, advance: Advance = silent) -> TrainResult:
    """Train a byte-level BPE tokenizer and a Llama-shaped causal language model on ``text``, and save both.

    The embeddings are tied, the weights float32. Rows are joined by an end-of-text token, cut into sequences of
    ``params.context`` tokens and drawn in a new order each epoch until ``params.tokens`` tokens or ``params.epochs``
    passes are spent (rounded down to whole batches, at least one). Only as much of ``text`` is read as the tokenizer
    (4 million characters) and the budget need; memory is 4 bytes per budgeted token. Matrix products run in bfloat16
    where the CPU has it (2.2 times faster there), otherwise in float32. The same text, parameters and seed give the
    same bytes on the same kind of CPU.

    Args:
        text: the rows, already shuffled; may be an iterator over more than is ever read.
        params: sizes, budget and learning rate (the peak; warm-up over 5 % of the steps, then a cosine to 10 %).
        out: folder for ``model.safetensors``, configuration and tokenizer; an earlier model there is replaced at
            the end, never left half-written.
        seed: of the initial weights and of the order of sequences.
        advance: told the tokens of each batch.

    Raises:
        UsageError: sizes that do not fit together, a learning rate that diverges, ``out`` holds something else.
        InputError: the text is shorter than one sequence.
        StorageError: ``out`` cannot be written.

    Sources: Sennrich et al. 2016 (BPE); Touvron et al. 2023, sections 2.2–2.3 (architecture, AdamW with
    betas 0.9/0.95, decay 0.1, clipping 1.0, cosine to 10 %); Muennighoff et al. 2023, section 6 (up to four passes over
    the same text are worth nearly as much as new text).
    """
    import torch
    from transformers import PreTrainedTokenizerFast

    _check_sizes(params)
    check_replaceable(out)  # before the work, not after it
    pieces = _pieces(text)
    sample = list(_until(pieces, _SAMPLE_CHARACTERS))
    tokenizer = _fit_tokenizer(sample, params.vocab_size)
    tokens = _encode(tokenizer, chain(sample, pieces), params.tokens)
    del sample
    if len(tokens) < params.context:
        raise InputError(
            f"the text to train on has only {len(tokens)} tokens, less than one sequence of {params.context}: "
            "lower train.context or keep more rows"
        )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _new_model(params, tokenizer.get_vocab_size(), tokenizer.token_to_id(END))
        losses = _fit(model, tokens, params, seed, advance)
        wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=tokenizer, eos_token=END, model_max_length=params.context
        )
        with publish(out) as folder:
            model.save_pretrained(folder)
            wrapped.save_pretrained(folder)
    return TrainResult(
        path=out,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary=tokenizer.get_vocab_size(),
        tokens=(spent := len(losses) * params.batch_size * params.context),
        epochs=round(spent / len(tokens), 2),
        losses=tuple(float(part.mean()) for part in np.array_split(losses, min(20, len(losses)))),
    )


def _check_sizes(params: TrainParams) -> None:
    if params.hidden_size % 64:  # the block of NF4, and what its CPU kernel can take
        raise UsageError(f"train.hidden_size must be a multiple of 64, not {params.hidden_size}")
    if params.hidden_size % (2 * params.heads):  # rotary embeddings turn pairs of numbers
        raise UsageError(
            f"train.heads = {params.heads} must divide train.hidden_size = {params.hidden_size} into even widths"
        )


def _pieces(rows: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """The rows in pieces of bounded length, each with whether it ends its row; empty rows are passed over."""
    for row in rows:
        for start in range(0, len(row), _PIECE_CHARACTERS):
            yield row[start : start + _PIECE_CHARACTERS], start + _PIECE_CHARACTERS >= len(row)


def _until(pieces: Iterator[tuple[str, bool]], characters: int) -> Iterator[tuple[str, bool]]:
    """Pieces until they sum to ``characters``; the iterator goes on after them."""
    for piece, ends in pieces:
        yield piece, ends
        characters -= len(piece)
        if characters <= 0:
            return


def _fit_tokenizer(sample: list[tuple[str, bool]], vocab_size: int) -> Any:
    """A ``tokenizers.Tokenizer`` of at most ``vocab_size`` tokens: the 256 bytes, ``END`` and learned merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((piece for piece, _ in sample), trainer)
    tokenizer.encode_special_tokens = True  # a row that spells END out is text like any other
    return tokenizer


def _encode(tokenizer: Any, pieces: Iterator[tuple[str, bool]], budget: int) -> np.ndarray:
    """The first ``budget`` token ids, int32, with ``END`` after each row; what lies beyond stays unread."""
    end = tokenizer.token_to_id(END)
    tokens = np.empty(budget, dtype=np.int32)
    filled = 0
    while filled < budget:
        batch = list(_until(pieces, min(10 * _PIECE_CHARACTERS, 8 * (budget - filled))))
        if not batch:
            break
        encodings = tokenizer.encode_batch_fast([piece for piece, _ in batch], add_special_tokens=False)
        for encoding, (_, ends) in zip(encodings, batch, strict=True):
            ids = [*encoding.ids, end] if ends else encoding.ids
            ids = ids[: budget - filled]
            tokens[filled : filled + len(ids)] = ids
            filled += len(ids)
    return tokens[:filled]


def _new_model(params: TrainParams, vocabulary: int, end: int) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=params.hidden_size,
        intermediate_size=round(params.hidden_size / 64 * 8 / 3) * 64,
        num_hidden_layers=params.layers,
        num_attention_heads=params.heads,
        max_position_embeddings=params.context,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
    )
    attention = "eager" if params.context <= _EAGER_CONTEXT else "sdpa"
    model: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        config, attn_implementation=attention
    )
    # Logits of unit variance: with the customary 0.02 a small budget is spent on leaving the flat start
    # (held-out perplexity 509 against 353 after 300,000 tokens of instructions).
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=params.hidden_size**-0.5)
    return model


def _fit(model: Any, tokens: np.ndarray, params: TrainParams, seed: int, advance: Advance) -> np.ndarray:
    """Spend the budget on ``model``; the loss of every step, in nats per token."""
    import torch

    sequences = torch.from_numpy(tokens[: len(tokens) // params.context * params.context]).view(-1, params.context)
    budget = min(params.tokens, params.epochs * len(tokens))
    steps = max(1, budget // (params.batch_size * params.context))
    order = _order(len(sequences), steps * params.batch_size, seed)
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": _DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=params.learning_rate,
        betas=(0.9, 0.95),
        fused=True,
    )
    losses = np.empty(steps)
    model.train()
    for step, chosen in enumerate(order.reshape(steps, params.batch_size)):
        batch = sequences[torch.from_numpy(chosen)].long()
        with torch.autocast("cpu", torch.bfloat16, enabled=native_bfloat16()):
            loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        losses[step] = loss.item()
        if not math.isfinite(losses[step]):
            raise UsageError(
                f"training diverged at step {step + 1} of {steps}: lower train.learning_rate = {params.learning_rate}"
            )
        for group in optimizer.param_groups:
            group["lr"] = params.learning_rate * _schedule(step, steps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        optimizer.zero_grad()
        advance(batch.numel())
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
