"""Language models on disk: how they are loaded and put in place, without any network."""

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...state.errors import InputError, UsageError, storage_error
from ...state.store import sync
from ..program import shipped_kernels

GGUF_NAME = "model.gguf"
_OS_ERROR = re.compile(r"\(os error (\d+)\)")  # how Rust ends what the operating system said
_MOST_LAYERS = 1000  # ten times as many as the deepest models have; more would be built one by one for hours
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def load_model(model_dir: Path, **options: Any) -> tuple[Any, Any]:
    """The causal language model and the tokenizer of a local folder, on the CPU, for inference.

    Nothing but the folder is read: no network, no code beside the weights, no pickle. What ``export_gguf`` wrote is
    read back from the GGUF file alone, and what ``export_int2`` wrote by ``read_int2``.

    Args:
        model_dir: a folder with ``config.json``, safetensors weights and a tokenizer, or one with ``model.gguf``.
        options: further arguments of ``from_pretrained``.

    Raises:
        InputError: it is missing, incomplete or damaged, or has its weights only as pickle.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if is_gguf(model_dir):
        from .gguf_read import read_gguf

        return read_gguf(model_dir / GGUF_NAME)
    settings = model_settings(model_dir)
    if settings.get("quantization_config", {}).get("quant_method") == "int2":
        from .int2 import read_int2

        return read_int2(model_dir)
    quantised = "quantization_config" in {*settings, *options}
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        if quantised:
            with shipped_kernels():
                import bitsandbytes  # noqa: F401
        tokenizer = AutoTokenizer.from_pretrained(model_dir, **local)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model_dir, use_safetensors=True, device_map={"": "cpu"}, output_loading_info=True, **local, **options
        )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise InputError(f"cannot load the model in {model_dir}: {' '.join(str(error).split())}") from error
    model, found = loaded
    # transformers fills absent weights with random numbers and only logs it.
    if found["missing_keys"]:
        raise InputError(f"the weights in {model_dir} are incomplete: {min(found['missing_keys'])} is missing")
    return model.eval(), tokenizer


def load_tokenizer(model_dir: Path) -> Any:
    """The tokenizer of a local folder.

    Raises:
        InputError: it is missing or damaged.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model_dir, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"cannot load the tokenizer in {model_dir}: {' '.join(str(error).split())}") from error


def causal_models() -> dict[str, str]:
    """By ``model_type``, the class of every causal language model that Transformers has."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return dict(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def model_settings(model_dir: Path) -> dict[str, Any]:
    """``config.json`` of a folder that holds a model in safetensors.

    Raises:
        InputError: there is no such folder, no readable configuration, one of layers without end, or no weights but
            pickled ones.
    """
    if not model_dir.is_dir():
        raise InputError(f"there is no folder {model_dir}: name the folder of a saved model")
    try:
        settings = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{model_dir} is not a saved model: it has no config.json") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {model_dir / 'config.json'}: {error}") from error
    if not isinstance(settings, dict):
        raise InputError(f"{model_dir / 'config.json'} must hold keys and values, not a {type(settings).__name__}")
    for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
        if isinstance(layers := settings.get(key), int) and layers > _MOST_LAYERS:
            raise InputError(f"{model_dir / 'config.json'}: {key} is {layers}, and no model has over {_MOST_LAYERS:,}")
    if not weight_bytes(model_dir):
        pickles = sorted(path.name for pattern in _PICKLES for path in model_dir.glob(pattern))
        if pickles:
            raise InputError(
                f"{model_dir} has its weights only as pickle ({pickles[0]}), which can run any code when it is read: "
                "save them as safetensors first"
            )
        raise InputError(f"{model_dir} is not a saved model: it has no weights (*.safetensors)")
    return settings


def is_gguf(model_dir: Path) -> bool:
    """Whether a folder holds a model as GGUF, and in no other form."""
    return (model_dir / GGUF_NAME).is_file() and not (model_dir / "config.json").exists()


def weight_bytes(model_dir: Path) -> int:
    """What the weight files of a saved model take on disk; a GGUF file holds the tokenizer, too."""
    files = [model_dir / GGUF_NAME] if is_gguf(model_dir) else model_dir.glob("*.safetensors")
    return sum(path.stat().st_size for path in files)


def memory_bytes(model: Any, model_dir: Path) -> int:
    """What the weights take in memory where they are used: of GGUF the tensors as llama.cpp maps them, otherwise the
    parameters, buffers and scales of the loaded ``model``."""
    if is_gguf(model_dir):
        from .gguf_read import tensor_bytes

        return tensor_bytes(model_dir / GGUF_NAME)
    scales = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)  # NF4: a scale per 64 weights, itself quantised
        nested = [] if state is None else [state, state.state2] if state.nested else [state]
        found = [one.absmax for one in nested] + [getattr(parameter, "SCB", None)]  # INT8: a scale per row
        scales += sum(one.nbytes for one in found if one is not None)
    return int(model.get_memory_footprint()) + scales


def linear_layers(model: Any) -> dict[str, Any]:
    """The linear layers of a model by their names, but the head: what is quantised or thinned."""
    import torch

    layers, head = model.named_modules(), model.get_output_embeddings()
    return {name: layer for name, layer in layers if isinstance(layer, torch.nn.Linear) and layer is not head}


def native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; where it is emulated it is slower than float32."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported())


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and logs of transformers and bitsandbytes, and put them back afterwards."""
    import transformers

    transformers_logging: Any = transformers.utils.logging
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    bitsandbytes_log = logging.getLogger("bitsandbytes")
    level = bitsandbytes_log.level
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    bitsandbytes_log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
        bitsandbytes_log.setLevel(level)


def check_replaceable(out: Path) -> None:
    """Whether a model may be written to ``out``: it is absent, empty or a model.

    Raises:
        UsageError: it is something else, which would be lost.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not weight_bytes(out) or not (is_gguf(out) or (out / "config.json").is_file()):
        raise UsageError(f"{out} exists and is not a model, so it is not replaced: name another folder")


@contextmanager
def publish(out: Path) -> Iterator[Path]:
    """A fresh folder beside ``out`` that takes its place when the block ends well, and is removed otherwise.

    Raises:
        UsageError: as ``check_replaceable``.
        StorageError: the disk is full or not writable.
    """
    check_replaceable(out)
    part, old = (out.parent / f".{out.name}.{role}" for role in ("part", "old"))
    try:
        for leftover in (part, old):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        for file in part.iterdir():
            sync(file)
        if out.exists():
            out.rename(old)
        part.rename(out)
        sync(out.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise storage_error(error, out, "writing a model to") from error
    except Exception as error:  # safetensors and tokenizers, in Rust, raise no OSError
        if (said := _OS_ERROR.search(str(error))) is None:
            raise
        fault = OSError(int(said[1]), os.strerror(int(said[1])))
        raise storage_error(fault, out, "writing a model to") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def save_model(model: Any, tokenizer: Any, out: Path) -> None:
    """Write a model and its tokenizer into the folder ``out``, as Transformers reads them; whole or not at all.

    Raises:
        UsageError: as ``check_replaceable``.
        StorageError: the disk is full or not writable.
    """
    with publish(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
