"""The embedded model under OpenVINO: one thread to a batch, as many batches at a time as there are cores.

A vector's last bits depend on what shares its batch, not on how many threads there are. bfloat16, where the processor
has it, is two to three times as fast as float32 at a cosine of 0.9999 to it; that is enough to send k-means to another
optimum, so that the precision stands in the encoder's name. int8 is half as fast again, and 95 % of the nearest
neighbours stay.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ....state.canonical import sha256_file
from ....state.errors import UsageError
from ....state.params.vectors import EmbedParams
from ...cores import cores
from ...program import without_telemetry
from ...threads import in_threads
from . import int8, minilm
from .windows import POLICY, Reading, Windows

if TYPE_CHECKING:
    import openvino
    from tokenizers import Tokenizer

# Windows in a batch: 16, or as many as have 384 tokens, since each batch reads all weights; at most 2,048 tokens. More
# gain nothing, and a group is to feed every core.
_BATCH, _LEAST_TOKENS, _MOST_TOKENS = 16, 384, 2048
_AT_ONCE = 16  # texts cut into tokens at once: what the tokeniser returns takes a hundred bytes a token
_PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_EIGHT_BITS = "int8"  # of the linear layers, beside the best of the others for the rest
_NO_BYTES = "embed.precision: this processor multiplies bytes too coarsely for int8: set embed.precision=auto"


def openvino_is_there() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


class _Compiled(NamedTuple):
    """The embedded model, ready for this machine, in the precision that it has here."""

    model: openvino.CompiledModel
    tokenizer: Tokenizer
    precision: str
    threads: int


@dataclass
class MiniLMEncoder:
    """The embedded model on this machine's processor.

    Making one raises ``IntegrityError`` where the weights are not the published ones, ``UsageError`` where the
    processor has not the precision that is asked for.
    """

    params: EmbedParams
    reading: Reading = field(default_factory=Reading)  # of all that was encoded
    dimensions = minilm.DIMENSIONS
    local = True

    def __post_init__(self) -> None:
        self._compiled = _compiled(self.params.precision)
        self.name = f"minilm sha256={minilm.SHA256} max_tokens={self.params.max_tokens} {POLICY} {self.precision}"
        if self.params.precision == _EIGHT_BITS:
            self.name += f" ranges={sha256_file(int8.RANGES)}"

    @property
    def precision(self) -> str:
        """The precision of the arithmetic."""
        return self._compiled.precision

    @property
    def runtime(self) -> str:
        """What computes the vectors, in words."""
        return f"OpenVINO {importlib.metadata.version('openvino')}, {self.precision}"

    @property
    def computed_by(self) -> str:
        """What the last bits of a vector depend on beside the model and the texts."""
        batches = f"batches={_BATCH},{_LEAST_TOKENS},{_MOST_TOKENS}"
        return f"openvino={importlib.metadata.version('openvino')} {platform.machine()} {batches}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of ``texts`` in their order: float32 [n, 384], of unit length; ``reading`` counts on.

        A text longer than the model's window is read as ``windows`` says.
        """
        room = min(self.params.max_tokens, minilm.POSITIONS) - 2  # one token before a text, and one after it
        windows, first, further = Windows(room), list[np.ndarray](), list[np.ndarray]()
        parts = (texts[at : at + _AT_ONCE] for at in range(0, len(texts), _AT_ONCE))
        for spelled in chain.from_iterable(in_threads(self._spelled, parts)):
            first.append(spelled[:room])
            further += [spelled[part] for part in windows.further(len(spelled))]
        self.reading += windows.reading
        vectors = self._vectors([*first, *further])
        return windows.mean(vectors[: len(first)], vectors[len(first) :]) if further else vectors

    def _spelled(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens of each text, int32."""
        spelled = self._compiled.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(one.ids, dtype=np.int32) for one in spelled]

    def _vectors(self, windows: list[np.ndarray]) -> np.ndarray:
        """Unit vectors of windows of tokens (int32), float32 [w, 384]."""
        batches = _Batches(self._compiled, len(windows))
        # By tokens: of short texts as long in characters some have twice as many, and a fifth of all would be padding.
        order, at = np.argsort([-len(window) for window in windows], kind="stable").tolist(), 0
        while at < len(order):
            longest = len(windows[order[at]]) + 2
            count = max(1, min(max(_BATCH, _LEAST_TOKENS // longest), _MOST_TOKENS // longest))
            batches.start(order[at : at + count], [windows[one] for one in order[at : at + count]])
            at += count
        return batches.done()


class _Batches:
    """Batches of windows on their way to unit vectors."""

    def __init__(self, compiled: _Compiled, windows: int) -> None:
        import openvino

        self._vectors = np.empty((windows, minilm.DIMENSIONS), dtype=np.float32)
        self._requests = openvino.AsyncInferQueue(compiled.model, 2 * compiled.threads)  # one waits for every one
        self._requests.set_callback(self._keep)

    def _keep(self, request: Any, chosen: list[int]) -> None:
        self._vectors[chosen] = request.get_output_tensor(0).data

    def start(self, chosen: list[int], windows: list[np.ndarray]) -> None:
        """Compute the vectors of these windows of tokens, which stand at ``chosen``, at the next chance."""
        tokens = np.zeros((len(chosen), max(map(len, windows)) + 2), dtype=np.int32)
        mask = np.zeros(tokens.shape, dtype=np.float32)
        tokens[:, 0] = minilm.CLS
        for row, window in enumerate(windows):
            end = len(window) + 1
            tokens[row, 1:end], tokens[row, end], mask[row, : end + 1] = window, minilm.SEP, 1
        self._requests.start_async({0: tokens, 1: mask}, chosen)

    def done(self) -> np.ndarray:
        """All vectors, once they are there: float32 [n, 384]."""
        self._requests.wait_all()
        return self._vectors


@cache
def _compiled(precision: str) -> _Compiled:
    """The model and its tokeniser, loaded once in a process.

    Raises:
        InputError: the model's package is not installed, or unreadable.
        IntegrityError: its weights are not the published ones.
        UsageError: the processor has not that precision.
    """
    without_telemetry()
    import openvino
    from tokenizers import Tokenizer

    folder = minilm.model_folder()
    minilm.check_weights(folder)
    threads = cores()
    # Not pinned: two processes would share one core and leave the other idle.
    settings: dict[str, Any] = {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    if precision in _HINTS:  # otherwise what OpenVINO finds best here
        settings["INFERENCE_PRECISION_HINT"] = _HINTS[precision]
    layers = partial(int8.Int8Layers, ranges=int8.known_ranges()) if precision == _EIGHT_BITS else None
    try:
        model = openvino.Core().compile_model(minilm.graph(folder, layers), "CPU", settings)
    except RuntimeError as error:
        if layers is None:
            raise
        raise UsageError(_NO_BYTES) from error
    found = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    named = _PRECISIONS.get(found, found)
    if precision in _HINTS and named != precision:
        raise UsageError(f"embed.precision: this processor has no {precision}: set embed.precision=auto")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    compiled = _Compiled(model, tokenizer, named, threads)
    if precision == _EIGHT_BITS:
        compiled = compiled._replace(precision=f"int8 beside {named}")
        batches = _Batches(compiled, 1)
        batches.start([0], [np.array(tokenizer.encode(int8.CHECKED, add_special_tokens=False).ids)])
        if not int8.computes(batches.done()[0]):
            raise UsageError(_NO_BYTES)
    return compiled
