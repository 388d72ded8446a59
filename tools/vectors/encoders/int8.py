"""The embedded model's linear layers in eight bits: two thirds of the time of bfloat16, two fifths of float32's.

What goes into a layer becomes 256 steps between the least and the most that it is known to be, a row of its weights 255
steps around 0 (Jacob et al. 2018). Channels that go far out would leave the others few steps: they are scaled down
first, and their weights up (SmoothQuant, Xiao et al. 2023, eq. 4). Attention, normalisation and activation stay as they
are. OpenVINO finds the steps in the graph and multiplies integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .minilm import Layers, graph, model_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: What goes into the linear layers of a name: the least and the most of each channel, float32 [2, d].
Ranges = Mapping[str, np.ndarray]

RANGES = Path(__file__).with_name("ranges.safetensors")
_EVENED = 0.8  # how far a channel's reach is moved into its weights; 0.65 and 0.9 keep fewer of the nearest
_STEPS, _WEIGHT_STEPS = 256, 255
_SMALL = 1e-5
_READ = 300  # docstrings from which the ranges were measured
_TOKENS, _BATCH = 126, 32
#: A text whose vector in float32 stands beside the ranges: without VNNI sums of products of bytes have less room.
CHECKED = "Beat the eggs with the sugar until the mixture is pale, then fold in the flour and the melted butter."
_CHECK, _NEAR = "vector of the checked text", 0.997  # with VNNI 0.998; without, weights keep seven bits, and 0.995


def known_ranges() -> Ranges:
    """The ranges that come with Recryst, measured by :func:`write_ranges`."""
    from safetensors.numpy import load_file

    return {name: found.astype(np.float32) for name, found in load_file(RANGES).items() if name != _CHECK}


def computes(vector: np.ndarray) -> bool:
    """Whether a processor that gives ``CHECKED`` this vector (float32 [384]) multiplies bytes as it should."""
    from safetensors.numpy import load_file

    return bool(vector @ load_file(RANGES)[_CHECK].astype(np.float32) > _NEAR)


class Int8Layers(Layers):
    """Linear layers that multiply integers, where their ``ranges`` are known."""

    def __init__(self, op: Any, weights: Mapping[str, np.ndarray], ranges: Ranges) -> None:
        super().__init__(op, weights)
        self._ranges = ranges

    def linear(self, states: Any, name: str) -> Any:
        """As a layer of floats, in steps."""
        op, weights = self._op, self._weights[f"{name}.weight"]
        least, most = self._ranges[input_of(name)]
        reach = np.maximum(np.maximum(-least, most), _SMALL)
        scale = reach**_EVENED / np.maximum(np.abs(weights).max(axis=0), _SMALL) ** (1 - _EVENED)
        scale = (scale / np.exp(np.log(scale).mean())).astype(np.float32)
        inputs = self._in_steps(op.multiply(states, op.constant((1 / scale)[None, None])), *_around_zero(
            float((least / scale).min()), float((most / scale).max())
        ), _STEPS)  # fmt: skip
        scaled = (weights * scale).astype(np.float32)
        row = np.abs(scaled).max(axis=1, keepdims=True)
        product = op.matmul(inputs, self._in_steps(op.constant(scaled), -row, row, _WEIGHT_STEPS), False, True)
        return op.add(product, self._weight(name, "bias"))

    def _in_steps(self, states: Any, low: Any, high: Any, steps: int) -> Any:
        ends = [self._op.constant(np.asarray(end, dtype=np.float32)) for end in (low, high)]
        return self._op.fake_quantize(states, *ends, *ends, steps)


def input_of(name: str) -> str:
    """The name under which the range of a layer's input stands: query, key and value read the same."""
    head, _, last = name.rpartition(".")
    return head if last in ("query", "key", "value") else name


def _around_zero(low: float, high: float) -> tuple[float, float]:
    """A range of as many steps in which 0 is one of them."""
    low, high = min(low, 0.0), max(high, _SMALL)
    step = (high - low) / (_STEPS - 1)
    below = round(-low / step)
    return -below * step, (_STEPS - 1 - below) * step


class _Taps(Layers):
    """Layers of floats that remember what goes into them."""

    def __init__(self, op: Any, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(op, weights)
        self.inputs: dict[str, Any] = {}

    def linear(self, states: Any, name: str) -> Any:
        self.inputs[input_of(name)] = states
        return super().linear(states, name)


def measured(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """What goes into each linear layer when the model reads ``texts`` in float32: float32 [2, d] of each, its ends."""
    import openvino
    from tokenizers import Tokenizer

    taps: list[_Taps] = []

    def remembered(op: Any, weights: Mapping[str, np.ndarray]) -> Layers:
        taps.append(_Taps(op, weights))
        return taps[0]

    folder = model_folder()
    model = graph(folder, remembered)
    names = list(taps[0].inputs)
    model.add_outputs([states.output(0) for states in taps[0].inputs.values()])
    request = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found: dict[str, np.ndarray] = {}
    for at in range(0, len(texts), _BATCH):
        tokens, mask = _tokens(tokenizer, texts[at : at + _BATCH])
        states = request.infer({0: tokens, 1: mask})
        for number, name in enumerate(names):
            read = states[number + 1][mask > 0]
            ends = np.stack([read.min(axis=0), read.max(axis=0)])
            known = found.get(name, ends)
            found[name] = np.stack([np.minimum(known[0], ends[0]), np.maximum(known[1], ends[1])])
    return found


def _tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    tokenizer.enable_truncation(_TOKENS + 2)
    tokenizer.enable_padding()
    spelled = tokenizer.encode_batch(list(texts))
    return (
        np.array([one.ids for one in spelled], dtype=np.int32),
        np.array([one.attention_mask for one in spelled], dtype=np.float32),
    )


def write_ranges(path: Path) -> None:
    """Measure the ranges on docstrings of the standard library, and write them to ``path`` in float16."""
    from safetensors.numpy import save_file

    from ....state.params.vectors import EmbedParams
    from ...docstrings import read_docstrings
    from .embedded import MiniLMEncoder

    rows = read_docstrings()
    chosen = np.random.default_rng(0).permutation(len(rows))[:_READ].tolist()
    found = measured([rows[at]["text"] for at in chosen])
    found[_CHECK] = MiniLMEncoder(EmbedParams(precision="float32")).encode([CHECKED])[0]
    save_file({name: ends.astype(np.float16) for name, ends in found.items()}, path)
