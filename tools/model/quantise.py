"""Exporting a language model on disk in a smaller format: by bitsandbytes on the CPU, with two bits, or as GGUF."""

from pathlib import Path
from typing import Any, Literal

from ...state.errors import InputError, UsageError
from ...state.params.final_model import GGUF_FORMATS, ModelFormat
from .checkpoint import check_replaceable, load_model, model_settings, native_bfloat16, quiet, save_model
from .gguf_write import export_gguf, why_no_gguf
from .int2 import export_int2, why_no_int2

_KERNEL_ROWS, _KERNEL_COLUMNS = 32, 64  # what the CPU kernel of NF4 takes: outputs, and inputs in whole blocks


def export(model_dir: Path, to: ModelFormat, out: Path) -> None:
    """Write a saved causal language model in one of the formats: ``quantise``, or ``gguf_write.export_gguf``.

    Raises:
        UsageError, InputError, StorageError: as these.
    """
    if to in GGUF_FORMATS:
        export_gguf(model_dir, to, out)  # type: ignore[arg-type]
    else:
        quantise(model_dir, to, out)  # type: ignore[arg-type]


def quantise(model_dir: Path, to: Literal["nf4", "int8", "int2"], out: Path) -> None:
    """Quantise a saved causal language model with bitsandbytes, on the CPU, or to two bits (``int2.export_int2``).

    The linear layers become NF4 (4 bits, blocks of 64, their scales quantised again) or INT8 (one scale per row).
    Embeddings, norms and a head tied to the embeddings are not quantised but saved as bfloat16, so that a small
    model with a large vocabulary shrinks less than the format's name says. NF4 computes in bfloat16 where this
    CPU has it and in float32 elsewhere, where it is slow: it saves memory, not time.

    Args:
        model_dir: a local folder with ``config.json``, safetensors weights and a tokenizer.
        out: folder for the result; an earlier model there is replaced at the end, never left half-written.

    Raises:
        UsageError: ``out`` is or holds ``model_dir``, or holds something else than a model.
        InputError: no usable model, only pickled weights, already quantised, or layers that the format cannot take.
        StorageError: ``out`` cannot be written.

    Sources: Dettmers et al. 2023, section 3 (NF4, double quantisation); Dettmers et al. 2022 (LLM.int8).
    """
    import torch
    from transformers import BitsAndBytesConfig

    method = model_settings(model_dir).get("quantization_config", {}).get("quant_method")
    if method is not None:
        raise InputError(f"{model_dir} is already quantised ({method}): name the model it was made from")
    if out.resolve() in (model_dir.resolve(), *model_dir.resolve().parents):
        raise UsageError(f"the quantised model would overwrite its source {model_dir}: name another folder")
    check_replaceable(out)
    if to == "int2":
        export_int2(model_dir, out)
        return
    if to == "nf4":
        config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if native_bfloat16() else torch.float32,
        )
    else:
        config = BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
    with quiet():
        model, tokenizer = load_model(model_dir, quantization_config=config, dtype=torch.bfloat16)
        _check_layers(model, model_dir)
        save_model(model, tokenizer, out)


def why_not(model_dir: Path, to: ModelFormat) -> str:
    """Why a saved model cannot be written in a format, as the end of a sentence on it; empty where it can.

    Weights are not read.

    Raises:
        InputError: the folder holds no usable model.
    """
    if to in GGUF_FORMATS:
        return why_no_gguf(model_dir)
    if to == "int8":
        return ""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    with quiet(), torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model_dir))  # type: ignore[no-untyped-call]
    if to == "int2":
        return why_no_int2(model)
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear | Conv1D) and layer is not model.get_output_embeddings():
            columns, rows = layer.weight.shape if isinstance(layer, Conv1D) else layer.weight.shape[::-1]
            if why := _no_kernel(name, rows, columns):
                return why
    return ""


def _check_layers(model: Any, model_dir: Path) -> None:
    """Refuse a model without a quantised layer, or with one that the CPU kernel of NF4 would choke on later."""
    from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt

    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, Linear4bit | Linear8bitLt)}
    if not layers:
        raise InputError(f"{model_dir} has no linear layer to quantise")
    for name, layer in layers.items():
        if isinstance(layer, Linear4bit) and (why := _no_kernel(name, layer.out_features, layer.in_features)):
            raise InputError(f"{model_dir} cannot be quantised: {why}: quantise to int8 instead")


def _no_kernel(name: str, rows: int, columns: int) -> str:
    """Why the CPU kernel of NF4 cannot take a layer; empty where it can."""
    if not rows % _KERNEL_ROWS and not columns % _KERNEL_COLUMNS:
        return ""
    needed = f"NF4 on a CPU needs multiples of {_KERNEL_ROWS} x {_KERNEL_COLUMNS}"
    return f"its layer {name} is {rows} x {columns}, and {needed}"
