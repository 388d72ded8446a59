"""Fine-tuning of a causal language model on disk on the curated text: all weights, or low-rank ones beside them."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...state.errors import InputError, MissingExtraError, UsageError
from ...state.params.final_model import TrainParams
from ...state.phrases import Advance, silent
from ..program import shipped_kernels
from .chat import ChatEncoder, template_of
from .checkpoint import causal_models, check_replaceable, load_model, load_tokenizer, model_settings, quiet, save_model
from .fit import TrainResult, encode, fit, pieces, result_of
from .prune import check_prunable, pruned
from .resume import resume_beside

_RANK, _SCALE = 16, 2.0  # Hu et al. 2022 find a rank of 8 to be enough; the scale is that of peft's own recipes


def check_base(params: TrainParams) -> None:
    """Find out before a run whether the model that is to be fine-tuned, or learned from, can be.

    Raises:
        MissingExtraError: peft is not installed, and ``lora`` needs it.
        InputError: the folder holds no usable model, only pickled weights, a quantised one, one that does not predict
            the next token, or a tokenizer without an end of text; or it is to be pruned, and cannot be.
    """
    if params.mode == "lora" and find_spec("peft") is None:
        raise MissingExtraError('train.mode = lora needs `pip install "recryst[lora]"`')
    folder, key = _base(params), "train.distil_from" if params.model is None else "train.model"
    settings = model_settings(folder)
    method = settings.get("quantization_config", {}).get("quant_method")
    if method is not None:
        raise InputError(f"{folder} is already quantised ({method}): name the model it was made from in {key}")
    if params.model is not None:
        check_prunable(settings, params, folder)
    kind, built = settings.get("model_type"), settings.get("architectures") or []
    causal = causal_models()
    if kind not in causal or not all(name in causal.values() or "ForCausalLM" in name for name in built):
        said = f"{kind} ({', '.join(built)})" if built else kind
        raise InputError(f"{folder} holds a {said}, which is no causal language model: name another in {key}")
    tokenizer = load_tokenizer(folder)
    if getattr(tokenizer, "backend_tokenizer", None) is None or tokenizer.eos_token_id is None:
        raise InputError(f"the tokenizer in {folder} has no tokenizer.json, or no end-of-text token")


def finetune(text: Iterable[str], params: TrainParams, out: Path, seed: int, advance: Advance = silent) -> TrainResult:
    """Train the model in ``params.model`` further on ``text`` and save it whole.

    ``full`` changes all weights, ``lora`` learns a pair of matrices of rank 16 beside every linear layer but the head
    and adds their product to it at the end, so that what is saved has the shape of the model it came from, in float32.
    Rows are joined by the tokenizer's end-of-text token and drawn as in ``train``; those that are a ``Chat`` are spelt
    by its chat template, if it has one. Sequences are no longer than the model's positions. The same text, model,
    parameters and seed give the same bytes on the same kind of CPU.

    Raises:
        UsageError: a learning rate that diverges, ``out`` holds something else than a model or is the model itself.
        InputError: no usable model, a tokenizer without an end of text, or the text is shorter than one sequence.
        MissingExtraError: peft is not installed, and ``lora`` needs it.
        StorageError: ``out`` cannot be written.

    Sources: Hu et al. 2022 (LoRA); Dettmers et al. 2023, section 4 (on every linear layer, learning rate 2e-4).
    """
    import torch

    check_base(params)
    folder = _base(params)
    if out.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise UsageError(f"the fine-tuned model would overwrite its source {folder}: name another folder")
    check_replaceable(out)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, tokenizer = load_model(folder, dtype=torch.float32)
        params = within_positions(params, model)
        template = template_of(tokenizer) if params.chat_template == "auto" else None
        chats = None if template is None else ChatEncoder(tokenizer, template)
        tokens = encode_as(tokenizer, folder, text, params, chats)
        resume = resume_beside(out, tokens, model, params.model_dump(), seed)
        if params.mode == "lora":
            model, losses = _low_rank(model, lambda adapted: fit(adapted, tokens, params, seed, advance, resume))
        else:
            losses = fit(model, tokens, params, seed, advance, resume)
        model = pruned(model, tokenizer, tokens, params, out, seed, advance)
        save_model(model, tokenizer, out)
        resume.forget()
    result = result_of(out, model, tokens, losses, params)
    return result if chats is None else replace(result, chat_rows=chats.chats, plain_rows=chats.plain)


def within_positions(params: TrainParams, model: Any) -> TrainParams:
    """The parameters with sequences no longer than the positions that ``model`` knows."""
    context = min(params.context, getattr(model.config, "max_position_embeddings", None) or params.context)
    return params.model_copy(update={"context": context})


def encode_as(
    tokenizer: Any, folder: Path, text: Iterable[str], params: TrainParams, chats: ChatEncoder | None = None
) -> np.ndarray:
    """What ``encode`` makes of the rows by the tokenizer of the model in ``folder``, int32 [n].

    ``chats``: what spells conversations by that model's template; None: all rows are plain text.

    Raises:
        InputError: the tokenizer cannot do it, or the text is shorter than one sequence.
    """
    backend, end = getattr(tokenizer, "backend_tokenizer", None), tokenizer.eos_token_id
    if backend is None or end is None:
        raise InputError(f"the tokenizer in {folder} has no tokenizer.json, or no end-of-text token")
    spelled, backend.encode_special_tokens = backend.encode_special_tokens, True  # rows that spell one are text
    tokens = encode(chats or backend, end, chats.pieces(text) if chats else pieces(text), params)
    backend.encode_special_tokens = spelled
    return tokens


def _base(params: TrainParams) -> Path:
    if params.begins_from is None:
        raise UsageError(f"train.mode = {params.mode} needs train.model, the folder of the model to fine-tune")
    return Path(params.begins_from).expanduser()


def _low_rank(model: Any, learn: Callable[[Any], np.ndarray]) -> tuple[Any, np.ndarray]:
    """The model with what ``learn`` taught low-rank matrices beside its linear layers, and the losses on the way."""
    with shipped_kernels():
        from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=_RANK, lora_alpha=int(_SCALE * _RANK), target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():  # peft asks transformers under a name that transformers gives up
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        adapted = get_peft_model(model, config)
    losses = learn(adapted)
    return adapted.merge_and_unload(), losses
