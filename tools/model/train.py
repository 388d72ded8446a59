"""The final small language model: its tokenizer and its training."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from ...state.errors import UsageError
from ...state.params.final_model import TrainParams
from ...state.phrases import Advance, silent
from .checkpoint import check_replaceable, quiet, save_model
from .fit import TrainResult, encode, fit, pieces, result_of, until
from .prune import pruned
from .resume import resume_beside

END = "<|endoftext|>"
_SAMPLE_CHARACTERS = 4_000_000  # text the tokenizer learns from: four thousand merges settle long before
_EAGER_CONTEXT = 256  # up to here plain attention beats the fused kernel on a CPU (1.4 times at 128 tokens)


def train(
    text: Iterable[str],
    params: TrainParams,
    out: Path,
    seed: int,
    advance: Advance = silent,
    tokenizer: Any = None,
) -> TrainResult:
    """Train a byte-level BPE tokenizer and a Llama-shaped causal language model on ``text``, and save both.

    This is ``params.mode`` ``scratch``; the others are handed to ``finetune``, and a student of ``params.distil_from``
    to ``distil``. A part of what was trained is taken out where ``params.prune`` says so (``prune.pruned``).

    The embeddings are tied, the weights float32. Rows are joined by an end-of-text token, cut into sequences of
    ``params.context`` tokens and drawn in a new order each epoch until ``params.tokens`` tokens or ``params.epochs``
    passes are spent (rounded down to whole batches, at least one). Only as much of ``text`` is read as the tokenizer
    (4 million characters) and the budget need; memory is 4 bytes per budgeted token. Matrix products run in bfloat16
    where the CPU has it (2.2 times faster there), otherwise in float32. The same text, parameters and seed give the
    same bytes on the same kind of CPU. A training that was killed goes on with the state it kept beside ``out`` (twelve
    bytes per weight, at most every two minutes), when it is asked for again, and comes to the same bytes.

    Args:
        text: the rows, already shuffled; may be an iterator over more than is ever read.
        params: sizes, budget and learning rate (the peak; warm-up over 5 % of the steps, then a cosine to 10 %).
        out: folder for ``model.safetensors``, configuration and tokenizer; an earlier model there is replaced at
            the end, never left half-written.
        seed: of the initial weights and of the order of sequences.
        advance: told the tokens of each batch.
        tokenizer: what ``fit_tokenizer`` learned from other text, so that models of several texts read alike; None: it
            is learned from ``text``. A model that is fine-tuned or distilled has that of the model it learns from.

    Raises:
        UsageError: sizes that do not fit together, a learning rate that diverges, ``out`` holds something else.
        InputError: the text is shorter than one sequence.
        StorageError: ``out`` cannot be written.

    Sources: Sennrich et al. 2016 (BPE); Touvron et al. 2023, sections 2.2–2.3 (architecture, AdamW with
    betas 0.9/0.95, decay 0.1, clipping 1.0, cosine to 10 %); Muennighoff et al. 2023, section 6 (up to four passes over
    the same text are worth nearly as much as new text).
    """
    if params.mode != "scratch":
        from .finetune import finetune

        return finetune(text, params, out, seed, advance)
    if params.distil_from is not None:
        from .distil import distil

        return distil(text, params, out, seed, advance)
    import torch
    from transformers import PreTrainedTokenizerFast

    check_sizes(params)
    check_replaceable(out)  # before the work, not after it
    stream = pieces(text)
    if tokenizer is None:
        sample = list(until(stream, _SAMPLE_CHARACTERS))
        tokenizer = fit_tokenizer((piece for piece, _ in sample), params.vocab_size)
        stream = chain(sample, stream)
        del sample
    end = tokenizer.token_to_id(END)
    tokens = encode(tokenizer, end, stream, params)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = new_model(params, tokenizer.get_vocab_size(), end)
        resume = resume_beside(out, tokens, model, params.model_dump(), seed)
        losses = fit(model, tokens, params, seed, advance, resume)
        wrapped: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=tokenizer, eos_token=END, model_max_length=params.context
        )
        model = pruned(model, wrapped, tokens, params, out, seed, advance)
        save_model(model, wrapped, out)
        resume.forget()
    return result_of(out, model, tokens, losses, params)


def check_sizes(params: TrainParams) -> None:
    """Refuse the sizes of a model from scratch that do not fit together.

    Raises:
        UsageError: so it is.
    """
    if params.hidden_size % 64:  # the block of NF4, and what its CPU kernel can take
        raise UsageError(f"train.hidden_size must be a multiple of 64, not {params.hidden_size}")
    if params.hidden_size % (2 * params.heads):  # rotary embeddings turn pairs of numbers
        raise UsageError(
            f"train.heads = {params.heads} must divide train.hidden_size = {params.hidden_size} into even widths"
        )
    if params.prune in ("layers", "heads") and getattr(params, params.prune) < 2:
        raise UsageError(f"train.prune = {params.prune} needs train.{params.prune} of at least 2")


def fit_tokenizer(sample: Iterable[str], vocab_size: int) -> Any:
    """A ``tokenizers.Tokenizer`` of at most ``vocab_size`` tokens: the 256 bytes, ``END`` and merges learned from
    ``sample``."""
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
    tokenizer.train_from_iterator(sample, trainer)
    tokenizer.encode_special_tokens = True  # a row that spells END out is text like any other
    return tokenizer


def new_model(params: TrainParams, vocabulary: int, end: int) -> Any:
    """A Llama of the sizes in ``params``, float32, untrained; ``end`` is the id of the end-of-text token."""
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
