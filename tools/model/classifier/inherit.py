"""A student that begins from its teacher: one of its layers, and token vectors along their principal components."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .encoder import labelled_as
from .vocabulary import trimmed

WIDTH = 64  # of a token's vector; it is laid out to the width of the layer by a matrix


def student_of(teacher: Any, tokenizer: Any, texts: Sequence[str]) -> tuple[Any, Any]:
    """A small classifier of the teacher's classes that begins from its weights, and the tokenizer it reads with.

    It is ALBERT's shape (Lan et al. 2020, section 3.1), whose token vectors may be narrower than its layers. It has the
    teacher's first layer, pooler and head, of its tokens those of ``texts``, and of their vectors the principal
    components.
    """
    from transformers import AlbertConfig, AlbertForSequenceClassification

    reader, stay = trimmed(tokenizer, texts)
    old = teacher.config
    config = AlbertConfig(
        vocab_size=len(stay),
        embedding_size=WIDTH,
        hidden_size=old.hidden_size,
        num_hidden_layers=1,
        num_attention_heads=old.num_attention_heads,
        intermediate_size=old.intermediate_size,
        hidden_act=old.hidden_act,
        hidden_dropout_prob=old.hidden_dropout_prob,
        attention_probs_dropout_prob=old.attention_probs_dropout_prob,
        max_position_embeddings=reader.model_max_length,
        layer_norm_eps=old.layer_norm_eps,
        pad_token_id=reader.pad_token_id,
        **labelled_as(list(old.id2label.values())),
    )
    student: Any = AlbertForSequenceClassification(config)
    body, first = student.albert.encoder, teacher.bert.encoder.layer[0]
    own = body.albert_layer_groups[0].albert_layers[0]
    _inherit_tokens(student.albert.embeddings, body.embedding_hidden_mapping_in, teacher.bert.embeddings, stay)
    for mine, theirs in (
        (own.attention.query, first.attention.self.query),
        (own.attention.key, first.attention.self.key),
        (own.attention.value, first.attention.self.value),
        (own.attention.dense, first.attention.output.dense),
        (own.attention.LayerNorm, first.attention.output.LayerNorm),
        (own.ffn, first.intermediate.dense),
        (own.ffn_output, first.output.dense),
        (own.full_layer_layer_norm, first.output.LayerNorm),
        (student.albert.pooler, teacher.bert.pooler.dense),
        (student.classifier, teacher.classifier),
    ):
        mine.load_state_dict(theirs.state_dict())
    return student.eval(), reader


def _inherit_tokens(own: Any, laid_out: Any, teacher: Any, stay: np.ndarray) -> None:
    """Give narrower token vectors the principal components of the teacher's, and the matrix behind them what comes
    nearest to what the teacher's first layer is given."""
    import torch

    tokens = teacher.word_embeddings.weight[torch.from_numpy(stay)]
    places = teacher.position_embeddings.weight[: own.position_embeddings.num_embeddings]
    mean, place = tokens.mean(0), places.mean(0)
    with torch.no_grad():
        _, _, axes = torch.linalg.svd(tokens - mean, full_matrices=False)
        narrow = (tokens - mean) @ axes[:WIDTH].T
        scale = narrow.std()
        own.word_embeddings.weight.copy_(narrow / scale)
        own.position_embeddings.weight.copy_((places - place) @ axes[:WIDTH].T / scale)
        own.token_type_embeddings.weight.zero_()
        given = teacher.LayerNorm(tokens + place + teacher.token_type_embeddings.weight[0])
        bare = torch.nn.functional.pad(own.LayerNorm(own.word_embeddings.weight), (0, 1), value=1.0)
        best = torch.linalg.lstsq(bare, given, driver="gelsd").solution  # the usual one differs from call to call
        laid_out.weight.copy_(best[:-1].T)
        laid_out.bias.copy_(best[-1])
