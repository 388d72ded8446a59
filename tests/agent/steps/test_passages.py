"""What a run leaves out of what it embeds: passages of the ingested rows, the same in every round."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from recryst.agent.steps import measured
from recryst.state.config import Config
from recryst.tools.vectors.embed import EmbedResult
from recryst.tools.vectors.encoders.windows import Reading

PROMPT = "You are the helper of a public library, and every reader is dear to you."
INGESTED = [f"{PROMPT}\n{own}" for own in ("Do you lend telescopes?", "When do you close?", "Is there a printer?")]
WRITTEN = [f"And this is how a row ends that a language model wrote. {n}" for n in range(30)]


def view(texts: list[str], given: bool = False) -> SimpleNamespace:
    values = SimpleNamespace(ingested=len(INGESTED))
    return SimpleNamespace(values=values, has=lambda role: given, texts=lambda: pl.Series("text", texts))


def test_rows_that_a_model_wrote_change_no_passage() -> None:
    assert measured.passages(view(INGESTED)) == measured.passages(view(INGESTED + WRITTEN)) == [PROMPT]
    assert measured.passages(view(INGESTED, given=True)) == []


def test_texts_are_embedded_without_them_and_the_session_counts_the_windows(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    seen: list[str] = []
    encoder = SimpleNamespace(name="fake", dimensions=2, local=True, runtime="a fake", reading=Reading(9, 9, 9, 9, 9))

    def embed(text: pl.Series, *_: object) -> EmbedResult:
        seen.extend(text.to_list())
        encoder.reading += Reading(2, 1, 4, 200, 500)
        return EmbedResult(np.zeros((len(text), 2), dtype=np.float32), len(text), 0)

    monkeypatch.setattr(measured, "open_cache", lambda *_: None)
    monkeypatch.setattr(measured, "embed", embed)
    session = SimpleNamespace(
        passages=None,
        view=view(INGESTED),
        config=Config(),
        reading=Reading(),
        embedded_by=None,
        run=SimpleNamespace(root=tmp_path),
        encoder=encoder,
    )
    for _ in range(2):
        measured.text_vectors(session, pl.Series([INGESTED[1], WRITTEN[0]]), lambda done: None)
    assert [text.strip() for text in seen] == ["When do you close?", WRITTEN[0]] * 2
    assert session.reading == Reading(4, 2, 8, 400, 1000)
    assert session.reading.times == 2.5
