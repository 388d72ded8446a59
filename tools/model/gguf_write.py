"""Export of a Llama-shaped model to GGUF, the format of llama.cpp and Ollama, with its tokenizer in the file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...state.errors import InputError, UsageError
from .checkpoint import GGUF_NAME, check_replaceable, load_model, model_settings, publish, quiet

if TYPE_CHECKING:
    from gguf import GGUFWriter

Gguf = Literal["f16", "q8_0", "q4_0"]
#: How llama.cpp names the way a tokenizer cuts text before merging → that way, as ``tokenizers`` spells it.
PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "gpt-2": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        ],
    },
}
_BLOCK = 32  # weights that share a scale in Q8_0 and Q4_0
_TEMPLATE = 'TEMPLATE """{{ .Prompt }}"""'  # a model without a chat template goes on where the text ends
_CHAT = (
    "# The chat template lies in the GGUF file; where Ollama does not know it, TEMPLATE has to say it in Ollama's words"
)


def export_gguf(model_dir: Path, to: Gguf, out: Path) -> None:
    """Write a saved Llama-shaped model as ``model.gguf``, and a ``Modelfile`` for Ollama beside it.

    Matrices become F16, Q8_0 (8 bits, blocks of 32 with a 16-bit scale) or Q4_0 (4 bits, the same blocks); norms stay
    float32. In Q4_0 the embeddings, and the head where there is one, are Q8_0: they suffer most, which is why
    llama.cpp's own quantiser keeps them finer, too. The same model gives the same bytes.

    Args:
        model_dir: a local folder with ``config.json``, safetensors weights and a tokenizer.
        out: folder for the result; an earlier model there is replaced at the end, never left half-written.

    Raises:
        UsageError: ``out`` is or holds ``model_dir``, or holds something else than a model.
        InputError: no usable model, or one that this export does not know (``why_no_gguf``).
        StorageError: ``out`` cannot be written.

    Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
    """
    import gguf

    if why := why_no_gguf(model_dir):
        raise InputError(f"{model_dir} cannot be written as GGUF: {why}")
    if out.resolve() in (model_dir.resolve(), *model_dir.resolve().parents):
        raise UsageError(f"the exported model would overwrite its source {model_dir}: name another folder")
    check_replaceable(out)
    with quiet():
        model, tokenizer = load_model(model_dir)
        template = _template(tokenizer)
        with publish(out) as folder:
            writer = gguf.GGUFWriter(folder / GGUF_NAME, "llama")
            _describe(writer, model.config, to)
            _add_tokenizer(writer, tokenizer, model.config.vocab_size, template)
            _add_tensors(writer, model, to)
            try:
                writer.write_header_to_file()
                writer.write_kv_data_to_file()
                _write_tensors(writer)
            finally:
                writer.close()
            lines = ["FROM ./" + GGUF_NAME, f"PARAMETER num_ctx {model.config.max_position_embeddings}"]
            if tokenizer.eos_token:
                lines.append(f'PARAMETER stop "{tokenizer.eos_token}"')
            lines.append(_TEMPLATE if template is None else _CHAT)
            (folder / "Modelfile").write_text("\n".join(lines) + "\n", encoding="utf-8")


def why_no_gguf(model_dir: Path) -> str:
    """Why a saved model cannot be exported, as the end of a sentence on it; empty where it can.

    Only its ``config.json`` and ``tokenizer.json`` are read.

    Raises:
        InputError: the folder holds no usable model.
    """
    settings = model_settings(model_dir)
    method = settings.get("quantization_config", {}).get("quant_method")
    if method is not None:
        return f"it is already quantised ({method}): name the model it was made from"
    if settings.get("model_type") != "llama":
        return f"it is a {settings.get('model_type')}, and only Llama-shaped models are"
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    scaled = rope.get("rope_type", rope.get("type", "default"))
    if settings.get("attention_bias") or settings.get("mlp_bias") or scaled != "default":
        return "it has biases or scaled positions"
    for name in ("hidden_size", "intermediate_size"):
        if settings.get(name, _BLOCK) % _BLOCK:
            return f"its {name} is {settings[name]}, and blocks need a multiple of {_BLOCK}"
    heads, width = settings.get("num_attention_heads", 0), settings.get("head_dim") or 0
    if heads * width % _BLOCK:
        return f"its {heads} heads of {width} make rows of {heads * width}, and blocks need a multiple of {_BLOCK}"
    return "" if pre_tokenizer_of(model_dir) else f"its tokenizer is none of {', '.join(PRE_TOKENIZERS)}"


def pre_tokenizer_of(model_dir: Path) -> str:
    """llama.cpp's name for how the tokenizer of a folder cuts text; empty where it is unknown to this export.

    Raises:
        InputError: there is no readable ``tokenizer.json``.
    """
    path = model_dir / "tokenizer.json"
    try:
        tokenizer_file = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if (
        not isinstance(tokenizer_file, dict)
        or (tokenizer_file.get("model") or {}).get("type") != "BPE"
        or tokenizer_file.get("normalizer")
    ):
        return ""
    found = _plain(tokenizer_file.get("pre_tokenizer"))
    return next((name for name, known in PRE_TOKENIZERS.items() if known == found), "")


def _plain(spelled: Any) -> Any:
    """A pre-tokenizer without what changes no token: offsets of ``ByteLevel``, and regexes that are on by default."""
    if not isinstance(spelled, dict):
        return spelled
    if spelled.get("type") == "Sequence":
        return {"type": "Sequence", "pretokenizers": [_plain(one) for one in spelled["pretokenizers"]]}
    kept = {key: value for key, value in spelled.items() if key != "trim_offsets"}
    return {"use_regex": True, **kept} if spelled.get("type") == "ByteLevel" else kept


def _template(tokenizer: Any) -> str | None:
    found = tokenizer.chat_template
    return found if isinstance(found, str) else None


def _describe(writer: "GGUFWriter", config: Any, to: Gguf) -> None:
    """The shape of the model."""
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    kinds = {
        "f16": LlamaFileType.MOSTLY_F16,
        "q8_0": LlamaFileType.MOSTLY_Q8_0,
        "q4_0": LlamaFileType.MOSTLY_Q4_0,
    }
    writer.add_name("recryst")
    writer.add_file_type(kinds[to])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope_base(config))
    writer.add_rope_dimension_count(head_width(config))
    writer.add_key_length(head_width(config))
    writer.add_value_length(head_width(config))


def rope_base(config: Any) -> float:
    """The base of the rotary frequencies, wherever this version of transformers keeps it."""
    return float((getattr(config, "rope_parameters", None) or vars(config))["rope_theta"])


def head_width(config: Any) -> int:
    """The numbers in an attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _add_tokenizer(writer: "GGUFWriter", tokenizer: Any, vocabulary: int, template: str | None) -> None:
    """The tokens in the order of their ids, the merges, and which tokens are for control."""
    from gguf import TokenType

    tokenizer_file = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {one["id"]: one["special"] for one in tokenizer_file["added_tokens"]}
    tokens = {number: token for token, number in tokenizer.get_vocab().items()}
    kinds = []
    for number in range(vocabulary):
        if number not in tokens:  # the embeddings have more rows than there are tokens
            tokens[number] = f"[PAD{number}]"
            kinds.append(TokenType.UNUSED)
        elif number in special:
            kinds.append(TokenType.CONTROL if special[number] else TokenType.USER_DEFINED)
        else:
            kinds.append(TokenType.NORMAL)
    merges = [one if isinstance(one, str) else " ".join(one) for one in tokenizer_file["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    pre = _plain(tokenizer_file["pre_tokenizer"])
    writer.add_tokenizer_pre(next(name for name, known in PRE_TOKENIZERS.items() if known == pre))
    writer.add_token_list([tokens[number] for number in range(vocabulary)])
    writer.add_token_types(kinds)
    if merges:
        writer.add_token_merges(merges)
    for number, add in (
        (tokenizer.bos_token_id, writer.add_bos_token_id),
        (tokenizer.eos_token_id, writer.add_eos_token_id),
        (tokenizer.pad_token_id, writer.add_pad_token_id),
    ):
        if number is not None:
            add(number)
    # As the tokenizer does it for Transformers, not as llama.cpp would by default.
    ids = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(tokenizer.eos_token_id is not None and ids[-1] == tokenizer.eos_token_id)
    if template is not None:
        writer.add_chat_template(template)


def _add_tensors(writer: "GGUFWriter", model: Any, to: Gguf) -> None:
    """The weights under llama.cpp's names, in its types."""
    import gguf
    from gguf import GGMLQuantizationType as Kind

    config = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    kinds = {"f16": Kind.F16, "q8_0": Kind.Q8_0, "q4_0": Kind.Q4_0}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue  # llama.cpp takes the embeddings where there is no head
        found = names.get_name(name, try_suffixes=(".weight",))
        if found is None:
            raise InputError(f"{name} has no place in the GGUF of a Llama")
        weights = tensor.float().numpy()
        if found.endswith("attn_q.weight"):
            weights = interleaved(weights, config.num_attention_heads)
        elif found.endswith("attn_k.weight"):
            weights = interleaved(weights, config.num_key_value_heads)
        kind = Kind.F32 if weights.ndim == 1 else kinds[to]
        if kind is Kind.Q4_0 and found in ("token_embd.weight", "output.weight"):
            kind = Kind.Q8_0
        writer.add_tensor(found, gguf.quants.quantize(weights, kind), raw_dtype=kind)


def _write_tensors(writer: "GGUFWriter") -> None:
    """What ``write_tensors_to_file`` writes, byte for byte. That one leaves it to numpy's ``tofile``, which does not
    say when the last bytes of a tensor find no room on the disk."""
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    (file,), (tensors,) = writer.fout, writer.tensors
    writer.write_padding(file, file.tell())
    for one in tensors.values():
        assert one.tensor is not None
        file.write(np.ascontiguousarray(one.tensor).data)
        writer.write_padding(file, one.nbytes)
    file.flush()


def interleaved(weights: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix in the order of llama.cpp, which turns neighbours, not halves, of each head:
    float32 [n, d], and the same."""
    rows, columns = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
