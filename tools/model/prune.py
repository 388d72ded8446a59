"""Taking a part out of a trained Llama, and the training in which what is left learns to do without it."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...state.errors import InputError
from ...state.params.final_model import TrainParams
from ...state.phrases import Advance
from .checkpoint import linear_layers, save_model
from .distil import distillation
from .fit import fit, next_token, unpruned_beside
from .resume import resume_beside

RECOVERY = 10  # the training afterwards has so many times less to spend than the one before
_RATE, _LEAST_RATE = 1 / 3, 2e-4  # of the peak before; what spares a model's knowledge cannot make up for what went
_BATCHES = 8  # of the training text, by which parts are weighed


def check_prunable(settings: dict[str, Any], params: TrainParams, folder: Path) -> None:
    """Whether the model whose ``config.json`` these ``settings`` are can be pruned as ``params`` say.

    Raises:
        InputError: it cannot.
    """
    if params.prune == "none":
        return
    if settings.get("model_type") != "llama":
        kind = settings.get("model_type")
        raise InputError(f"{folder} is a {kind}, and only Llama-shaped models are pruned: leave train.prune out")
    heads = settings.get("num_key_value_heads") or settings.get("num_attention_heads")
    if {"layers": settings.get("num_hidden_layers"), "heads": heads}.get(params.prune) == 1:
        raise InputError(f"{folder} has but one of the {params.prune} that could go: leave train.prune out")


def pruned(
    model: Any, tokenizer: Any, tokens: np.ndarray, params: TrainParams, out: Path, seed: int, advance: Advance
) -> Any:
    """What ``params.prune`` leaves of a Llama, trained again; ``none``: the model as it is.

    ``layers``: those go that turn the hidden states least. ``heads``: of every layer as many heads of keys and values,
    with the queries that share them, go, those whose absence the loss feels least; how many is the number nearest to
    the share that leaves a divisor of the width, as Transformers wants it. ``weights``: in every linear layer but the
    head the smallest become zero and stay so, which makes the file no smaller. Then all that is left learns by
    distillation from the whole model, on the first tenth of the same text, for a tenth of the budget.

    Args:
        model: is not changed; it is saved beside ``out``.
        tokens: what it was trained on, int32 [n].

    Raises:
        UsageError: the learning rate diverges.
        StorageError: the disk is full or not writable.

    Sources: Men et al. 2024, section 3.2 (block influence); Michel et al. 2019, section 4.1 (importance of heads);
    Han et al. 2015 (magnitudes); Muralidharan et al. 2024 (recovery by distillation).
    """
    import torch
    from torch.nn.utils import prune

    if params.prune == "none":
        return model
    save_model(model, tokenizer, unpruned_beside(out))
    model.eval()
    left = copy.deepcopy(model).requires_grad_(True)
    whole: Any = (
        torch.from_numpy(tokens[: len(tokens) // params.context * params.context]).view(-1, params.context).long()
    )
    batches = whole[: _BATCHES * params.batch_size].split(params.batch_size)
    {"layers": _take_layers, "heads": _take_heads, "weights": _take_weights}[params.prune](
        left, params.prune_share, batches
    )
    budget = {"tokens": params.tokens // RECOVERY, "learning_rate": max(_RATE * params.peak, _LEAST_RATE)}
    again = params.model_copy(update=budget)
    resume = resume_beside(out.with_name(f"{out.name}-pruned"), tokens, left, params.model_dump(), seed)
    fit(left, tokens, again, seed, advance, resume, distillation(model))
    resume.forget()
    for layer in linear_layers(left).values() if params.prune == "weights" else ():
        prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
    return left


def counted(model_dir: Path) -> tuple[int, int]:
    """The numbers in the weights of a saved model, and how many of them are not zero.

    Raises:
        InputError: the weights cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    numbers = others = 0
    try:
        for path in model_dir.glob("*.safetensors"):
            with safe_open(path, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118 - no dictionary
                    tensor = weights.get_tensor(name)
                    numbers, others = numbers + tensor.numel(), others + int(tensor.count_nonzero())
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read the weights in {model_dir}: {error}") from error
    return numbers, others


def _take_layers(model: Any, share: float, batches: Sequence[Any]) -> None:
    import torch

    layers = model.model.layers
    turned = torch.zeros(len(layers))

    def weigh(layer: Any, before: Any, after: Any) -> None:
        cosine = torch.nn.functional.cosine_similarity(before[0].float(), after.float(), dim=-1)
        turned[layer.self_attn.layer_idx] += (1 - cosine).mean()

    hooks = [layer.register_forward_hook(weigh) for layer in layers]
    with torch.inference_mode():
        for batch in batches:
            model(input_ids=batch, use_cache=False)
    for hook in hooks:
        hook.remove()
    keep = turned.argsort(descending=True, stable=True)[: _left(len(layers), share)].sort().values
    model.model.layers = torch.nn.ModuleList(layers[number] for number in keep.tolist())
    for number, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = number  # where its keys and values stand in the cache
    model.config.num_hidden_layers = len(keep)


def _take_heads(model: Any, share: float, batches: Sequence[Any]) -> None:
    import torch

    config, blocks = model.config, [layer.self_attn for layer in model.model.layers]
    groups, queries = config.num_key_value_heads, config.num_attention_heads // config.num_key_value_heads
    wanted = _left(groups, share)
    possible = [kept for kept in range(1, groups) if not config.hidden_size % (kept * queries)]
    kept = min(possible, key=lambda number: (abs(number - wanted), -number))
    felt = _felt(model, [block.o_proj for block in blocks], groups, batches)
    for block, effect in zip(blocks, felt, strict=True):
        keep = effect.argsort(descending=True, stable=True)[:kept].sort().values
        rows = torch.arange(groups * queries * block.head_dim).view(groups, -1)[keep].flatten()
        shared = torch.arange(groups * block.head_dim).view(groups, -1)[keep].flatten()
        for layer, chosen in ((block.q_proj, rows), (block.k_proj, shared), (block.v_proj, shared)):
            layer.weight = torch.nn.Parameter(layer.weight.detach()[chosen].clone())
            layer.out_features = len(chosen)
            if layer.bias is not None:
                layer.bias = torch.nn.Parameter(layer.bias.detach()[chosen].clone())
        block.o_proj.weight = torch.nn.Parameter(block.o_proj.weight.detach()[:, rows].clone())
        block.o_proj.in_features = len(rows)
    config.head_dim = blocks[0].head_dim
    config.num_attention_heads, config.num_key_value_heads = kept * queries, kept


def _felt(model: Any, outputs: Sequence[Any], groups: int, batches: Sequence[Any]) -> Any:
    """What the loss would feel, to first order, of each group of heads going, float32 [layers, groups]."""
    import torch

    felt, inputs = torch.zeros(len(outputs), groups), {}

    def see(layer: Any, given: Any) -> None:
        given[0].retain_grad()
        inputs[layer] = given[0]

    hooks = [output.register_forward_pre_hook(see) for output in outputs]
    for batch in batches:
        next_token(model, batch).backward()
        for number, output in enumerate(outputs):
            effect = (inputs[output] * inputs[output].grad).unflatten(-1, (groups, -1)).sum((1, 3))
            felt[number] += effect.detach().abs().sum(0)
    for hook in hooks:
        hook.remove()
    model.zero_grad()
    return felt


def _take_weights(model: Any, share: float, batches: Sequence[Any]) -> None:
    from torch.nn.utils import prune

    for layer in linear_layers(model).values():
        prune.l1_unstructured(layer, "weight", amount=share)  # type: ignore[no-untyped-call]


def _left(parts: int, share: float) -> int:
    """How many of the parts stay: at least one, and not all."""
    return min(max(parts - round(parts * share), 1), parts - 1)
