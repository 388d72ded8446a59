"""Two bits a weight: the matrices of a causal language model as codes, and the steps of their groups."""

from pathlib import Path
from typing import Any

from ...state.errors import InputError
from .checkpoint import linear_layers, load_model, publish, quiet

_GROUP = 16  # weights that share a step and a centre: at 2.5 bits finer groups of coarse steps beat 64 of fine ones
_STEPS, _CENTRES = 15, 7  # of the row's largest step; of a step, to either side
_STARTS, _ROUNDS = (1.0, 0.85, 0.7), 5  # shares of a group's range that its levels first span; of least squares
_PARTS = ("codes", "groups", "tops")
_WEIGHTS = "int2.safetensors"  # not the usual name: Transformers, which does not know the method, would fill in noise


def export_int2(model_dir: Path, out: Path) -> None:
    """Write a saved causal language model with two bits a weight in its linear layers, for ``read_int2``.

    A weight is one of four levels, evenly spaced about the centre of its group of 16 in a row. Step and centre are
    fitted by least squares, without any text, and kept in four bits each: the step as fifteenths of the row's largest
    one (float16), the centre as sevenths of the step. That is 2.5 bits a weight and 16 for each row. Embeddings, norms
    and the head are bfloat16. The same model gives the same bytes.

    Raises:
        InputError: no usable model, or layers that cannot be cut into groups (``why_no_int2``).
        StorageError: ``out`` cannot be written.

    Sources: the nested steps are those of llama.cpp's Q2_K; least squares in turns with rounding, as in Badri and
    Shaji 2023 (HQQ), who take another norm.
    """
    import torch
    from safetensors.torch import save_file

    with quiet(), torch.inference_mode():
        model, tokenizer = load_model(model_dir, dtype=torch.float32)
        if why := why_no_int2(model):
            raise InputError(f"{model_dir} cannot be quantised: {why}: quantise to int8 instead")
        matrices = {f"{name}.weight" for name in linear_layers(model)}
        tensors, seen = dict[str, Any](), set[int]()
        for name, weights in model.state_dict().items():
            if weights.data_ptr() in seen:  # a head that is tied to the embeddings
                continue
            seen.add(weights.data_ptr())
            if name in matrices:
                tensors |= {f"{name}.{part}": one for part, one in zip(_PARTS, packed(weights), strict=True)}
            else:
                tensors[name] = weights.bfloat16()
        model.config.quantization_config = {"quant_method": "int2"}
        with publish(out) as folder:
            save_file(tensors, folder / _WEIGHTS, {"format": "pt"})
            model.config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)


def read_int2(model_dir: Path) -> tuple[Any, Any]:
    """The causal language model and the tokenizer that ``export_int2`` wrote, its weights in float32, for inference.

    Raises:
        InputError: it is damaged or incomplete.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_dir, **local)
        config = AutoConfig.from_pretrained(model_dir, **local)
        del config.quantization_config
        with torch.random.fork_rng(devices=[]):
            model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
        tensors = load_file(model_dir / _WEIGHTS)
        for name, layer in linear_layers(model).items():
            codes, groups, tops = (tensors.pop(f"{name}.weight.{part}") for part in _PARTS)
            tensors[f"{name}.weight"] = unpacked(codes, groups, tops, layer.in_features)
        absent, strange = model.load_state_dict(tensors, strict=False)
        held = model.state_dict()
        filled = {held[name].data_ptr() for name in tensors if name in held}
        lost = [*strange, *(name for name in absent if held[name].data_ptr() not in filled)]
        if lost:
            said = f"{min(lost)} is in the weights or in the configuration, but not in both"
            raise InputError(f"cannot load the model in {model_dir}: {said}")
    except KeyError as error:
        raise InputError(f"the weights in {model_dir} are incomplete: {error.args[0]} is missing") from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"cannot load the model in {model_dir}: {' '.join(str(error).split())}") from error
    return model.eval(), tokenizer


def why_no_int2(model: Any) -> str:
    """Why a model cannot be written with two bits a weight, as the end of a sentence; empty where it can."""
    widths = {name: layer.in_features for name, layer in linear_layers(model).items()}
    odd = next((name for name, width in widths.items() if width % _GROUP), None)
    if odd is not None:
        return f"its layer {odd} has rows of {widths[odd]}, and int2 needs multiples of {_GROUP}"
    return "" if widths else "it has no linear layer that int2 knows"


def packed(weights: Any) -> tuple[Any, Any, Any]:
    """A matrix, float32 [n, d], as codes, uint8 [n, d / 4] (the first of four in the lowest bits), groups, uint8
    [n, d / 16] (the step in the lower four bits, the centre in the upper), and rows' largest steps, float16 [n, 1]."""
    import torch

    rows, columns = weights.shape
    groups = weights.reshape(rows, columns // _GROUP, _GROUP)
    step, centre = _fitted(groups)
    step = torch.maximum(step, groups.mean(-1, keepdim=True).abs() / 2.5)  # so far from zero do the levels reach
    tops = step.amax(1).half()
    unit = tops.float()[:, None] / _STEPS
    steps = (step / unit.clamp_min(1e-12)).round().clamp(0, _STEPS)
    step = steps * unit
    centres = (centre / step.clamp_min(1e-12) * _CENTRES).round().clamp(-_CENTRES, _CENTRES)
    codes = _codes(groups, step, centres / _CENTRES * step).byte().reshape(rows, columns // 4, 4)
    packed_codes = codes[..., 0] | codes[..., 1] << 2 | codes[..., 2] << 4 | codes[..., 3] << 6
    return packed_codes, (steps.byte() | (centres + _CENTRES).byte() << 4)[..., 0], tops


def unpacked(codes: Any, groups: Any, tops: Any, columns: int) -> Any:
    """The matrix, float32 [n, ``columns``], that ``packed`` cut down.

    Raises:
        ValueError: the parts are not those of such a matrix, or a step is no number.
    """
    import torch

    rows = len(tops)
    shapes = [tuple(part.shape) for part in (codes, groups, tops)]
    kinds = [part.dtype for part in (codes, groups, tops)]
    if shapes != [(rows, columns // 4), (rows, columns // _GROUP), (rows, 1)]:
        raise ValueError(f"codes, groups and steps are of the shapes {shapes}, which make no rows of {columns}")
    if kinds != [torch.uint8, torch.uint8, torch.float16] or not torch.isfinite(tops).all():
        raise ValueError("codes, groups or steps are damaged")
    step = (groups & 15) * (tops.float() / _STEPS)
    centre = ((groups >> 4).float() - _CENTRES) / _CENTRES * step
    levels = torch.stack([codes >> shift & 3 for shift in (0, 2, 4, 6)], -1).reshape(rows, -1, _GROUP) - 1.5
    return (levels * step[..., None] + centre[..., None]).reshape(rows, columns)


def _codes(groups: Any, step: Any, centre: Any) -> Any:
    """Which of the four levels is nearest, 0 to 3, float32."""
    return ((groups - centre) / step.clamp_min(1e-12) + 1.5).round().clamp(0, 3)


def _fitted(groups: Any) -> tuple[Any, Any]:
    """Step and centre, float32 [n, groups, 1], of each group of weights [n, groups, 16]: least squares for the codes,
    and the codes for them, in turns, from several starts."""
    import torch

    low, high, mean = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True), groups.mean(-1, keepdim=True)
    least, best = torch.full_like(mean, torch.inf), (torch.zeros_like(mean), mean)
    for start in _STARTS:
        step, centre = (high - low) / 3 * start, (high + low) / 2
        for _ in range(_ROUNDS):
            levels = _codes(groups, step, centre) - 1.5
            spread = levels - levels.mean(-1, keepdim=True)
            varies = spread.square().sum(-1, keepdim=True)
            step = torch.where(
                varies > 0, (spread * (groups - mean)).sum(-1, keepdim=True) / varies.clamp_min(0.5), step
            )
            centre = mean - step * levels.mean(-1, keepdim=True)
        error = ((_codes(groups, step, centre) - 1.5) * step + centre - groups).square().sum(-1, keepdim=True)
        best = torch.where(error < least, step, best[0]), torch.where(error < least, centre, best[1])
        least = torch.minimum(least, error)
    return best
