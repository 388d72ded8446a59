"""Texts: the embedded model under its own runtime beside Sentence Transformers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...state.errors import UsageError
from ...state.params.vectors import EmbedParams
from ...tools.docstrings import read_docstrings
from ...tools.model.checkpoint import quiet
from ...tools.program import shipped_kernels
from ...tools.vectors.encoders.minilm import model_folder
from ...tools.vectors.encoders.open import open_encoder
from ...tools.vectors.neighbors import nearest
from .pairs import Line, Plan, paired, timed, versioned

_SHORT, _LONG = 5000, 2000  # texts, at most
_WINDOW = 128  # tokens that are read of a text
_LONG_CHARACTERS = 1200  # which are more tokens than that
_BATCHES = (16, 32, 64, 128)  # of the peer, of which the fastest counts
_TRIED = 256  # texts on which they are tried
_NEIGHBORS = 10
_SAME = {"int8": 0.93, "auto": 0.99, "float32": 0.99}  # of the nearest: float32 and bfloat16 both count as exact


def short_texts(plan: Plan) -> list[Line]:
    """First lines of the standard library's docstrings: in eight bits, as chosen by itself, and in float32."""
    first = {row["text"].strip().splitlines()[0] for row in read_docstrings()}
    texts = np.random.default_rng(plan.seed).permutation(sorted(first))[: min(plan.rows, _SHORT)].tolist()
    return _lines("short_texts", texts, (("int8", 4.5), ("auto", 2.5), ("float32", 1.0)), plan)


def long_texts(plan: Plan) -> list[Line]:
    """Docstrings put together and cut where the window is full, so that both read the same."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(_WINDOW)
    said = "\n".join(row["text"] for row in read_docstrings())
    parts = [said[at : at + _LONG_CHARACTERS] for at in range(0, len(said) - _LONG_CHARACTERS, _LONG_CHARACTERS // 2)]
    chosen = np.random.default_rng(plan.seed).permutation(parts)[: min(plan.rows, _LONG)].tolist()
    spelled = tokenizer.encode_batch(chosen)
    texts = [text[: max(end for _, end in one.offsets)] for text, one in zip(chosen, spelled, strict=True)]
    return _lines("long_texts", texts, (("int8", 3.5), ("auto", 2.5), ("float32", 1.0)), plan)


def _lines(name: str, texts: list[str], bars: tuple[tuple[str, float], ...], plan: Plan) -> list[Line]:
    encode = peer(texts)
    return [_line(name, texts, encode, precision, bar, plan) for precision, bar in bars]


def peer(texts: list[str]) -> Callable[[list[str]], Any]:
    """Sentence Transformers with the same model, warm, at the batch size that is fastest on some of the texts."""
    with shipped_kernels():
        from sentence_transformers import SentenceTransformer

    with quiet():
        model: Any = SentenceTransformer(str(model_folder()), device="cpu")
    model.max_seq_length = _WINDOW
    encode = partial(model.encode, normalize_embeddings=True, show_progress_bar=False)
    encode(texts[:_TRIED])
    batch = min(_BATCHES, key=lambda size: timed(lambda: encode(texts[:_TRIED], batch_size=size))[0])
    return partial(encode, batch_size=batch)


def not_here(name: str, size: str, bar: float, why: UsageError) -> Line:
    """A comparison in a precision that this processor has not."""
    peer = versioned("sentence-transformers")
    return Line(name, size, peer, None, None, bar, "not on this processor", None, str(why))


def _line(name: str, texts: list[str], encode: Any, precision: Any, bar: float, plan: Plan) -> Line:
    size = f"{len(texts):,} texts, {precision}"
    try:
        encoder = open_encoder(EmbedParams(precision=precision, max_tokens=_WINDOW))
    except UsageError as error:
        return not_here(name, size, bar, error)
    encoder.encode(texts[:_TRIED])
    measured = paired(lambda: encoder.encode(texts), lambda: encode(texts), plan.repeats)
    near, truth = (nearest(rows, rows, _NEIGHBORS + 1)[0][:, 1:] for rows in (measured.result, measured.peer))
    same = float(np.mean([len({*mine} & {*theirs}) for mine, theirs in zip(near, truth, strict=True)])) / _NEIGHBORS
    return Line(
        name=name,
        size=size,
        peer=versioned("sentence-transformers"),
        seconds=(measured.ours, measured.theirs),
        faster=measured.faster,
        bar=bar,
        quality=f"{same:.1%} of the 10 nearest the same",
        good=same >= _SAME[precision],
        note=f"precision {precision} is {encoder.runtime} here; the peer at its fastest of four batch sizes",
    )
