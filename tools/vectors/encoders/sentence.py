"""Sentence Transformers models on this machine, from a folder or the Hugging Face hub, in float32.

Weights are read from safetensors alone, which hold numbers; other files may hold a program.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ....state.errors import InputError, UsageError
from ....state.params.vectors import EmbedParams
from ...program import shipped_kernels
from . import minilm
from .windows import POLICY, Reading, Windows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.spm"]  # of a model's files: weights, settings, vocabulary
_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")  # which may hold a program
_BATCH = 32  # texts in a forward pass: more gain nothing on a processor, and padding costs
_AT_ONCE = 16  # texts whose tokens are held

_Loaded = TypeVar("_Loaded")


@dataclass
class SentenceEncoder:
    """A Sentence Transformers model on this machine; one that is given by its folder is loaded when first asked."""

    name: str
    dimensions: int
    source: str
    params: EmbedParams
    model: SentenceTransformer | None = None
    reading: Reading = field(default_factory=Reading)  # of all that was encoded
    local = True

    @property
    def runtime(self) -> str:
        """What computes the vectors, in words."""
        said = f"PyTorch {importlib.metadata.version('torch')}, float32"
        missing = "; OpenVINO, which is several times as fast, is not installed"
        return said + missing if self.params.model == "minilm" else said

    @property
    def computed_by(self) -> str:
        """What the last bits of a vector depend on beside the model and the texts."""
        import torch

        versions = [f"{name}={importlib.metadata.version(name)}" for name in ("torch", "transformers")]
        versions.append(f"batches={_BATCH}")
        if torch.cuda.is_available():
            return " ".join([*versions, torch.cuda.get_device_name()])
        kind = [platform.machine(), torch.backends.cpu.get_cpu_capability(), os.environ.get("MKL_CBWR", "")]
        return " ".join([*versions, *kind, f"threads={torch.get_num_threads()}"])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of ``texts`` in their order: float32 [n, dimensions], of unit length; ``reading`` counts on.

        A text longer than the model's window is read as ``windows`` says.
        """
        if self.model is None:
            with offline():
                self.model = _load(self.source, self.params, True)
        windows, further = further_windows(self.model, texts)
        self.reading += windows.reading
        # The first windows as if there were no others: the last bits of a vector depend on what shares its batch.
        vectors = self.vectors(self.model, texts, windows.first_tokens if windows.apply else list(map(len, texts)))
        return windows.mean(vectors, self.vectors(self.model, further, windows.tokens)) if further else vectors

    def vectors(self, model: SentenceTransformer, texts: Sequence[str], lengths: list[int]) -> np.ndarray:
        """Unit vectors of what the model's window holds of texts, float32 [n, dimensions].

        ``lengths``: of the texts, in tokens where they are known: those of a length share a batch, with little padding.
        """
        made = np.empty((len(texts), self.dimensions), dtype=np.float32)
        order = np.argsort(np.negative(lengths), kind="stable")
        for at in range(0, len(order), _BATCH):
            chosen = order[at : at + _BATCH]
            batch = [texts[one] for one in chosen.tolist()]
            made[chosen] = model.encode(
                batch, batch_size=_BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            )
        return made


def further_windows(model: SentenceTransformer, texts: Sequence[str]) -> tuple[Windows, list[str]]:
    """What a model does not read of ``texts`` when it reads what its window holds.

    Nothing where the model has no limit, or its tokeniser does not tell where in a text a token stands.
    """
    tokenizer: Any = getattr(model, "tokenizer", None)
    limit = model.max_seq_length if getattr(tokenizer, "is_fast", False) else None
    room = 0 if limit is None else limit - tokenizer.num_special_tokens_to_add()
    windows, further = Windows(room), list[str]()
    for at in range(0, len(texts), _AT_ONCE):
        group = list(texts[at : at + _AT_ONCE])
        if not windows.apply:
            for _ in group:
                windows.further(1)
            continue
        spelled = tokenizer(
            group, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False,
            return_attention_mask=False, return_token_type_ids=False,
        )  # fmt: skip
        for text, places in zip(group, spelled["offset_mapping"], strict=True):
            parts = windows.further(len(places))
            further += [text[places[part.start][0] : places[part.stop - 1][1]] for part in parts]
    return windows, further


def minilm_by_torch(params: EmbedParams) -> SentenceEncoder:
    """The embedded model where OpenVINO is not installed.

    Raises:
        InputError: the model's package is not installed, or unreadable.
        IntegrityError: its weights are not the published ones.
        UsageError: another precision than float32 is asked for.
    """
    _only_float32(params)
    folder = minilm.model_folder()
    minilm.check_weights(folder)
    name = f"minilm sha256={minilm.SHA256} max_tokens={params.max_tokens} {POLICY} float32"
    return SentenceEncoder(name, minilm.DIMENSIONS, str(folder), params)


def named_model(params: EmbedParams) -> SentenceEncoder:
    """A model from a folder, or by its name on the hub.

    Raises:
        InputError: it cannot be loaded.
        UsageError: another precision than float32 is asked for.
    """
    _only_float32(params)
    model = _load_named(params)
    name = f"{params.model} sha256={_weights_sha256(model)} max_tokens={params.max_tokens} {POLICY}"
    dimensions = model.get_embedding_dimension()
    if dimensions is None:
        raise InputError(f"the model {params.model!r} does not say how long its vectors are: choose another model")
    return SentenceEncoder(name, dimensions, params.model, params, model)


def _only_float32(params: EmbedParams) -> None:
    if params.precision not in ("auto", "float32"):
        raise UsageError(f"embed.precision: PyTorch computes in float32 here, not in {params.precision}")


def _load_named(params: EmbedParams) -> SentenceTransformer:
    """A model from a folder, from the local hub cache, or from the hub."""
    is_folder = Path(params.model).is_dir()
    if not is_folder and not HUB_NAME.fullmatch(params.model):
        raise InputError(f"embed.model: there is no folder {params.model!r}, and it is not the name of a model")
    try:
        return local_first(params.model, partial(_load, params.model, params))
    except ModelNotLoaded as error:
        what = f"load the model in {params.model}" if is_folder else f"get the model {params.model!r}"
        raise InputError(f"embed.model: cannot {what}: {error}") from error


class ModelNotLoaded(ValueError):
    """A model that is not there or not usable; the message is the first line of what the library said."""


def local_first(model: str, load: Callable[[bool], _Loaded]) -> _Loaded:
    """What ``load`` gives for local files only, or else, unless ``model`` is a folder, with the hub in reach.

    Raises:
        ModelNotLoaded: neither gave anything.
    """
    for local in (True,) if Path(model).is_dir() else (True, False):
        try:
            with offline() if local else contextlib.nullcontext():
                return load(local)
        except (OSError, ValueError, RuntimeError) as error:
            failed = error
    raise ModelNotLoaded((str(failed) or type(failed).__name__).splitlines()[0]) from failed


def _load(source: str, params: EmbedParams, local: bool) -> SentenceTransformer:
    """A model on the GPU where there is one, otherwise on the CPU.

    Raises:
        OSError: it is not there, or what is there is not one.
        ValueError: its weights are not in safetensors.
    """
    import torch

    with shipped_kernels():
        from sentence_transformers import SentenceTransformer

    folder = safe_folder(source, local)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = {"use_safetensors": True}
    model = SentenceTransformer(
        str(folder), device=device, trust_remote_code=False, local_files_only=True, model_kwargs=settings
    )
    # No more than the model has positions for: the embedded one has 512, though its settings say 256.
    limit = minilm.POSITIONS if params.model == "minilm" else model.max_seq_length
    model.max_seq_length = min(limit or params.max_tokens, params.max_tokens)
    return model


def safe_folder(source: str, local: bool) -> Path:
    """The folder of a model: itself, or what the hub has of it, of which all but other weights is fetched.

    Args:
        local: nothing is fetched, what the local cache of the hub holds must do.

    Raises:
        OSError: it is not there.
        ValueError: its weights are not in safetensors.
    """
    from huggingface_hub import snapshot_download

    folder = Path(source)
    if not folder.is_dir():
        folder = Path(snapshot_download(source, allow_patterns=_WANTED, local_files_only=local))
    _only_safetensors(folder)
    return folder


def _only_safetensors(folder: Path) -> None:
    """See that no part of a model has its weights in a file that may hold a program, which would be opened.

    Raises:
        ValueError: one has, or there are no weights in safetensors.
    """
    for kind in _OTHER_WEIGHTS:
        for path in folder.rglob(kind):
            if not any(path.parent.glob("*.safetensors")):
                raise ValueError(f"{path} may hold a program and is not opened: save the model as safetensors")
    if not any(folder.rglob("*.safetensors")):
        raise ValueError(f"there are no weights in safetensors in {folder}")


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keep huggingface_hub off the network within the block (what HF_HUB_OFFLINE=1 does for a whole process).

    The progress bar of transformers, which would break into ours, is off from then on.
    """
    import huggingface_hub.constants as constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _weights_sha256(model: Any) -> str:
    """SHA-256 over a loaded model's parameters, by name."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
