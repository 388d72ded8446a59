"""A student that begins from its teacher: fewer layers, and token vectors along their principal components."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .encoder import labelled_as
from .vocabulary import trimmed

WIDTH = 64  # of a token's vector; it is laid out to the width of the layers by a matrix
LAYERS = 1


def evenly(layers: int, keep: int) -> list[int]:
    """Which of so many layers stay, the first always: at even distances (Sanh et al. 2019, section 3)."""
    return [at * layers // keep for at in range(keep)]


def student_of(teacher: Any, tokenizer: Any, texts: Sequence[str], seed: int) -> tuple[Any, Any]:
    """A small classifier of the teacher's classes that begins from its weights, and the tokenizer it reads with.

    It is ELECTRA's shape (Clark et al. 2020), a BERT whose token vectors are narrower than its layers: so many of the
    teacher's first layers, the tokens of ``texts`` alone, and of their vectors the principal components. ``seed`` is
    that of the head, which begins anew.
    """
    import torch
    from transformers import ElectraConfig, ElectraForSequenceClassification

    reader, stay = trimmed(tokenizer, texts)
    old = teacher.config
    config = ElectraConfig(
        vocab_size=len(stay),
        embedding_size=WIDTH,
        hidden_size=old.hidden_size,
        num_hidden_layers=LAYERS,
        num_attention_heads=old.num_attention_heads,
        intermediate_size=old.intermediate_size,
        max_position_embeddings=reader.model_max_length,
        layer_norm_eps=old.layer_norm_eps,
        pad_token_id=reader.pad_token_id,
        **labelled_as(list(old.id2label.values())),
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        student: Any = ElectraForSequenceClassification(config)
        for layer in (student.classifier.dense, student.classifier.out_proj):
            torch.nn.init.xavier_uniform_(layer.weight)
        _inherit_tokens(student.electra, teacher.bert.embeddings, stay)
        for own, number in zip(student.electra.encoder.layer, evenly(old.num_hidden_layers, LAYERS), strict=True):
            own.load_state_dict(teacher.bert.encoder.layer[number].state_dict())
    return student.eval(), reader


def _inherit_tokens(student: Any, teacher: Any, stay: np.ndarray) -> None:
    """Give narrower token vectors the principal components of the teacher's, and the matrix behind them what comes
    nearest to what the teacher's first layer is given."""
    import torch

    tokens = teacher.word_embeddings.weight[torch.from_numpy(stay)]
    places = teacher.position_embeddings.weight[: student.config.max_position_embeddings]
    mean, place = tokens.mean(0), places.mean(0)
    _, _, axes = torch.linalg.svd(tokens - mean, full_matrices=False)
    narrow = (tokens - mean) @ axes[:WIDTH].T
    scale = narrow.std()
    own = student.embeddings
    own.word_embeddings.weight.copy_(narrow / scale)
    own.position_embeddings.weight.copy_((places - place) @ axes[:WIDTH].T / scale)
    own.token_type_embeddings.weight.zero_()
    given = teacher.LayerNorm(tokens + place + teacher.token_type_embeddings.weight[0])
    laid = torch.nn.functional.pad(own.LayerNorm(own.word_embeddings.weight), (0, 1), value=1.0)
    best = torch.linalg.lstsq(laid, given).solution
    student.embeddings_project.weight.copy_(best[:-1].T)
    student.embeddings_project.bias.copy_(best[-1])
