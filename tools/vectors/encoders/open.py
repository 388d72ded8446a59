"""The models that turn text into unit vectors: the embedded one, any Sentence Transformers model, any server's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ....state.params.vectors import EmbedParams
from .apart import EncoderApart
from .embedded import MiniLMEncoder, openvino_is_there
from .remote import RemoteEncoder, is_remote
from .sentence import SentenceEncoder, minilm_by_torch, named_model

#: Turns texts into unit vectors. Equal ``name`` means equal vectors but for the last bits, for it stands in cache keys:
#: the model, the hash of its weights or its server, and every setting that changes a vector. ``computed_by`` is what
#: the last bits depend on, ``runtime`` what computes, in words. ``local``: the texts stay on this machine.
Encoder = MiniLMEncoder | EncoderApart | SentenceEncoder | RemoteEncoder
_APART = 2000  # texts from which on memory counts for more than the two seconds in which a process begins


def open_encoder(params: EmbedParams) -> Encoder:
    """The encoder that ``params.model`` names.

    ``minilm`` is all-MiniLM-L6-v2 (Reimers and Gurevych 2019; Wang et al. 2020) from an installed package, without
    network; under OpenVINO, or where that is not installed under PyTorch, several times as slow. ``openai:NAME`` and
    ``ollama:NAME`` send texts to a server. Any other value is a folder, or a name on the Hugging Face hub: looked for
    in the local cache first, then downloaded. Code that comes with a model is never run.

    Raises:
        InputError: the model cannot be loaded.
        IntegrityError: the embedded model's weights are not the published ones.
        UsageError: the server's address is wrong, or the processor has not the precision that is asked for.
    """
    if is_remote(params.model):
        return RemoteEncoder(params)
    if params.model != "minilm":
        return named_model(params)
    return MiniLMEncoder(params) if openvino_is_there() else minilm_by_torch(params)


@contextmanager
def encoder_for(params: EmbedParams, texts: int) -> Iterator[Encoder]:
    """As ``open_encoder``; for many ``texts`` the embedded model runs in a process of its own, until the block ends.

    Raises:
        InputError, IntegrityError, UsageError: as that.
    """
    if texts < _APART or params.model != "minilm" or not openvino_is_there():
        yield open_encoder(params)
        return
    encoder = EncoderApart(params)
    try:
        yield encoder
    finally:
        encoder.close()
