"""Pruning: a classifier without some of its layers, attention heads or weights. What is lost is taught again by
``distil``, from the classifier as it was."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .rows import Rows, padded, spelled

_SEEN = 640  # rows by which heads are weighed; their order settles on far fewer than all
_BATCH = 32


def evenly(layers: int, keep: int) -> list[int]:
    """Which of so many layers stay: the first, the last, which the head reads, and others between at even distances."""
    return [round(at) for at in np.linspace(0, layers - 1, keep).tolist()]


def without_layers(model: Any, keep: int) -> Any:
    """A copy of a BERT classifier with so many of its layers, at even distances (Sanh et al. 2019, section 3)."""
    from transformers import BertForSequenceClassification

    stay = evenly(len(model.bert.encoder.layer), keep)
    config = type(model.config).from_dict(model.config.to_dict() | {"num_hidden_layers": keep})
    shorter: Any = BertForSequenceClassification(config)
    own = {name: weight for name, weight in model.state_dict().items() if ".encoder.layer." not in name}
    for number, layer in enumerate(stay):
        for name, weight in model.bert.encoder.layer[layer].state_dict().items():
            own[f"bert.encoder.layer.{number}.{name}"] = weight
    shorter.load_state_dict(own)
    return shorter.eval()


def head_importance(model: Any, tokenizer: Any, rows: Rows, context: int, seed: int) -> np.ndarray:
    """What the loss would change by without each attention head, float32 [layers, heads]; each layer of length 1.

    The mean of |dL/dξ| over the rows, where ξ scales what a head gives (Michel et al. 2019, section 4.1).
    """
    import torch

    chosen = np.random.default_rng(seed).permutation(len(rows.texts))[:_SEEN]
    ids = spelled(tokenizer, [rows.texts[at] for at in chosen.tolist()], context)
    classes = torch.from_numpy(rows.classes[chosen])
    heads, given = model.config.num_attention_heads, list[Any]()
    outputs = [layer.attention.output.dense for layer in model.bert.encoder.layer]

    def keep(_: Any, inputs: tuple[Any, ...]) -> None:
        inputs[0].retain_grad()
        given.append(inputs[0])

    hooks = [output.register_forward_pre_hook(keep) for output in outputs]
    total = torch.zeros(len(outputs), heads)
    model.eval()
    try:
        for start in range(0, len(ids), _BATCH):
            part = slice(start, start + _BATCH)
            logits = model(**padded(ids[part], tokenizer.pad_token_id)).logits
            loss: Any = torch.nn.functional.cross_entropy(logits, classes[part], reduction="sum")
            loss.backward()
            for at, one in enumerate(given):
                by_head = (one * one.grad).detach().unflatten(-1, (heads, -1))
                total[at] += by_head.sum(dim=(1, 3)).abs().sum(0)
            given.clear()
            model.zero_grad()
    finally:
        for hook in hooks:
            hook.remove()
    found: np.ndarray = (total / total.norm(dim=1, keepdim=True)).numpy()
    return found


def mask_heads(model: Any, importance: np.ndarray, share: float) -> None:
    """Hold the weights of so large a share of the attention heads at 0, the least important first.

    ``importance``: float32 [layers, heads]. Each layer keeps its most important head. ``settle`` ends it.
    """
    import torch
    from torch.nn.utils import prune

    heads = importance.shape[1]
    ranked = importance.copy()
    ranked[np.arange(len(ranked)), ranked.argmax(axis=1)] = np.inf
    gone = np.argsort(ranked, axis=None, kind="stable")[: round(share * ranked.size)]
    stays = np.ones(ranked.size, dtype=np.float32)
    stays[gone] = 0.0
    size = model.config.hidden_size // heads
    for layer, stay in zip(model.bert.encoder.layer, stays.reshape(ranked.shape), strict=True):
        columns = torch.from_numpy(np.repeat(stay, size))
        own = layer.attention.self
        for linear in (own.query, own.key, own.value):
            prune.custom_from_mask(linear, "weight", columns[:, None].expand_as(linear.weight))  # type: ignore[no-untyped-call]
            prune.custom_from_mask(linear, "bias", columns)  # type: ignore[no-untyped-call]
        out = layer.attention.output.dense
        prune.custom_from_mask(out, "weight", columns[None].expand_as(out.weight))  # type: ignore[no-untyped-call]


def mask_weights(model: Any, share: float) -> None:
    """Hold so large a share of the weights of every matrix at 0, the smallest first (Han et al. 2015, section 3).

    Vectors stay whole. ``settle`` ends it.
    """
    from torch.nn.utils import prune

    for module in _matrices(model):
        prune.l1_unstructured(module, "weight", share)  # type: ignore[no-untyped-call]


def settle(model: Any) -> None:
    """Make the zeros of ``mask_heads`` or ``mask_weights`` the weights themselves."""
    from torch.nn.utils import prune

    for module in model.modules():
        for name in ("weight", "bias"):
            if hasattr(module, f"{name}_mask"):
                prune.remove(module, name)  # type: ignore[no-untyped-call]


def _matrices(model: Any) -> Iterator[Any]:
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            yield module
