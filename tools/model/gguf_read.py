"""A GGUF file read back into the Llama of Transformers, float32, and into its tokenizer."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ...state.errors import InputError
from .gguf_write import PRE_TOKENIZERS


def read_gguf(path: Path) -> tuple[Any, Any]:
    """The causal language model and the tokenizer in a GGUF file that ``export_gguf`` wrote, for inference.

    All comes from the file: the shape, the weights (dequantised to float32), the tokens and merges.

    Raises:
        InputError: it is damaged, or of another shape than ``export_gguf`` writes.
    """
    import gguf
    import torch
    from transformers import LlamaForCausalLM

    try:
        reader = gguf.GGUFReader(path)
        metadata = {name: field.contents() for name, field in reader.fields.items()}
        config = _config(metadata, {tensor.name for tensor in reader.tensors})
        tokenizer = _tokenizer(metadata)
        model: Any = LlamaForCausalLM(config)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
        state = {}
        ours = {names.get_name(name, try_suffixes=(".weight",)): name for name in model.state_dict()}
        for tensor in reader.tensors:
            weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            if tensor.name.endswith("attn_q.weight"):
                weights = _halved(weights, config.num_attention_heads)
            elif tensor.name.endswith("attn_k.weight"):
                weights = _halved(weights, config.num_key_value_heads)
            state[ours[tensor.name]] = torch.from_numpy(np.array(weights))
        if config.tie_word_embeddings:
            state["lm_head.weight"] = state["model.embed_tokens.weight"]
        model.load_state_dict(state)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise InputError(f"cannot load the model in {path}: {' '.join(str(error).split())}") from error
    return model.eval(), tokenizer


def tensor_bytes(path: Path) -> int:
    """What the weights of a GGUF file take in memory: llama.cpp maps them as they lie."""
    import gguf

    return sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(path).tensors)


def _config(metadata: dict[str, Any], tensors: set[str]) -> Any:
    from transformers import LlamaConfig

    if metadata["general.architecture"] != "llama":
        raise ValueError(f"it is a {metadata['general.architecture']}, not a Llama")
    shape = {
        "vocab_size": metadata["llama.vocab_size"],
        "hidden_size": metadata["llama.embedding_length"],
        "intermediate_size": metadata["llama.feed_forward_length"],
        "num_hidden_layers": metadata["llama.block_count"],
        "num_attention_heads": metadata["llama.attention.head_count"],
        "num_key_value_heads": metadata["llama.attention.head_count_kv"],
        "head_dim": metadata["llama.attention.key_length"],
        "rms_norm_eps": metadata["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": float(metadata["llama.rope.freq_base"]),
        "max_position_embeddings": metadata["llama.context_length"],
        "tie_word_embeddings": "output.weight" not in tensors,
        "eos_token_id": metadata.get("tokenizer.ggml.eos_token_id"),
        "bos_token_id": metadata.get("tokenizer.ggml.bos_token_id"),
    }
    return LlamaConfig(**shape)


def _tokenizer(metadata: dict[str, Any]) -> Any:
    from gguf import TokenType
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    tokens, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in metadata.get("tokenizer.ggml.merges", [])]
    backend = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    spelled = json.loads(backend.to_str())
    spelled["pre_tokenizer"] = _whole(PRE_TOKENIZERS[metadata["tokenizer.ggml.pre"]])
    backend = Tokenizer.from_str(json.dumps(spelled))
    backend.decoder = decoders.ByteLevel()
    for token, kind in zip(tokens, kinds, strict=True):
        if kind in (TokenType.CONTROL, TokenType.USER_DEFINED):
            backend.add_tokens([AddedToken(token, special=kind == TokenType.CONTROL, normalized=False)])
    backend.encode_special_tokens = True
    end = metadata.get("tokenizer.ggml.eos_token_id")
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, eos_token=None if end is None else tokens[end]
    )


def _whole(spelled: dict[str, Any]) -> dict[str, Any]:
    """A pre-tokenizer with all that ``tokenizers`` wants to read of it."""
    if spelled["type"] == "Sequence":
        return {**spelled, "pretokenizers": [_whole(one) for one in spelled["pretokenizers"]]}
    return {"trim_offsets": True, **spelled} if spelled["type"] == "ByteLevel" else spelled


def _halved(weights: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of ``interleaved``: halves of each head are turned, as Transformers does it."""
    rows, columns = weights.shape
    return weights.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
