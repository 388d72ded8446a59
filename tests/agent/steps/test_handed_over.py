"""The vectors that a finished run hands over are those of the texts they are found by."""

import shutil
from dataclasses import replace

import numpy as np
import polars as pl

from recryst.agent.steps.measured import hand_over_vectors, handed_over, passages
from recryst.agent.view import View
from recryst.tools.repeats.shared import without
from recryst.tools.vectors.embed import embed, open_cache, open_encoder


def test_each_held_out_row_keeps_its_vector_when_the_end_of_the_run_took_one_out(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    view = View.open(tmp_path / "run")
    anchor, vectors = view.anchor(), np.asarray(view.array("anchor_vectors"))
    gone = pl.col("row") == int(anchor[0])
    ledger = view.ledger().with_columns(status=pl.when(gone).then(pl.lit("removed")).otherwise(pl.col("status")))
    artefacts = {**view.state.artefacts, "ledger": view.store.put_frame(ledger)}
    later = replace(view, state=view.state.model_copy(update={"artefacts": artefacts}))
    assert len(later.anchor()) == len(anchor) - 1
    (tmp_path / "other").mkdir()
    hand_over_vectors(later, tmp_path / "other")
    encoder, params = open_encoder(view.config.embed), view.config.embed
    said = without(view.text(anchor), passages(view))
    found = embed(said, encoder, open_cache(encoder, tmp_path), params, known=handed_over(tmp_path / "other"))
    assert found.embedded == 0
    assert np.array_equal(found.vectors, vectors)
