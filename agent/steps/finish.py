"""After the loop: train, quantise, export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from ...state.canonical import sha256_file
from ...state.events import Effect
from ...state.rows import check_ledger, counts
from ...tools.write.export import Synthetic
from ...tools.write.export import export as export_rows
from ..account.publish import write_pages
from ..session import Session, derived_seed

TEXT_BATCH = 4096
_SYNTHETIC = ("synthetic", "synthetic_originals")


def train(session: Session) -> None:
    """Train the final small language model on the curated text and score it on the anchor."""
    params = session.config.train
    anchor = session.text(session.anchor())
    if not params.enabled or not anchor.str.len_bytes().sum():
        reason = "train.enabled is false" if not params.enabled else "the rows have no text"
        session.record("train", outcome="skipped", reasons=[reason])
        return
    from ...tools.model.perplexity import evaluate
    from ...tools.model.train import train

    folder = session.run.model / "dense"
    with session.step("train", params.tokens, "tokens") as advance:
        result = train(_shuffled_text(session), params, folder, derived_seed(session.config, 5), advance)
    with session.step("evaluate", None, "tokens") as advance:
        evaluation = evaluate(folder, anchor.to_list(), params.context, advance=advance)
    model = {"name": "dense", **_figures(evaluation), "parameters": result.parameters}
    session.record(
        "train",
        values={"models": [model]},
        inputs=["ledger", "text"],
        params=params.model_dump(mode="json"),
        metrics={**model, "tokens": result.tokens, "vocabulary": result.vocabulary, "losses": list(result.losses)},
        effects=_file_effects(session, "model/dense"),
    )


def _shuffled_text(session: Session) -> Iterator[str]:
    """The curated training text in a random order, a batch at a time."""
    rows = session.kept()
    order = np.random.default_rng(derived_seed(session.config, 6)).permutation(len(rows))
    for start in range(0, len(rows), TEXT_BATCH):
        yield from session.text(rows[order[start : start + TEXT_BATCH]]).to_list()


def quantise(session: Session) -> None:
    """Quantise the trained model, reload each format and score it on the same text."""
    models = session.state.values.get("models")
    if not models:
        session.record("quantise", outcome="skipped", reasons=["there is no trained model"])
        return
    from ...tools.model.perplexity import evaluate
    from ...tools.model.quantise import quantise

    anchor = session.text(session.anchor()).to_list()
    effects = []
    models = [model for model in models if model["name"] == "dense"]
    with session.step("quantise", len(session.config.quantise.formats), "formats") as advance:
        for name in session.config.quantise.formats:
            folder = session.run.model / name
            quantise(session.run.model / "dense", name, folder)
            models.append({"name": name, **_figures(evaluate(folder, anchor, session.config.train.context))})
            effects += _file_effects(session, f"model/{name}")
            advance(1)
    session.record(
        "quantise",
        values={"models": models},
        params=session.config.quantise.model_dump(mode="json"),
        metrics={"models": models},
        effects=effects,
    )


def _figures(evaluation: Any) -> dict[str, Any]:
    return {
        "size_bytes": evaluation.size_bytes,
        "perplexity": round(evaluation.perplexity, 4),
        "bits_per_byte": round(evaluation.bits_per_byte, 6),
        "answer": evaluation.answer,
    }


def _file_effects(session: Session, folder: str) -> list[dict[str, Any]]:
    """One effect per file of a folder of the run, with its hash."""
    return [
        Effect(kind=f"file:{path.relative_to(session.run.root)}", after_sha=sha256_file(path)).model_dump()
        for path in sorted((session.run.root / folder).rglob("*"))
        if path.is_file()
    ]


def export(session: Session) -> None:
    """Write the curated rows, the report and the dataset card."""
    ledger = session.ledger()
    check_ledger(ledger, session.state.values["ingested"])
    with session.step("export", ledger.height) as advance:
        clusters = session.frame("labels").select(pl.col("row"), pl.col("cluster"))
        text = session.frame("text", "text")["text"].fill_null("")
        originals = session.store.verified_path(session.state.artefacts["originals"])
        labels = session.frame("row_labels") if "row_labels" in session.state.artefacts else None
        synthetic = _synthetic(session)
        result = export_rows(originals, ledger, text, clusters, session.run.curated, advance, labels, synthetic)
    effects = [
        Effect(kind=f"file:curated/{name}", after_sha=sha).model_dump() for name, sha in sorted(result.files.items())
    ]
    session.record(
        "export",
        values={"curated_sha256": result.content_sha256},
        inputs=["ledger", "originals", "text", "labels", *_there(session, "row_labels", *_SYNTHETIC)],
        metrics={**counts(ledger), "rows": result.rows, "curated_sha256": result.content_sha256},
        effects=effects,
    )


def _there(session: Session, *roles: str) -> list[str]:
    return [role for role in roles if role in session.state.artefacts]


def _synthetic(session: Session) -> Synthetic | None:
    """The rows that a language model wrote and that were put in force, if any were."""
    if not _there(session, *_SYNTHETIC):
        return None
    originals = session.store.verified_path(session.state.artefacts["synthetic_originals"])
    return Synthetic(originals, session.frame("synthetic"))


def publish(session: Session) -> None:
    """Write the report and the dataset card, which name the head of the log as it stands here."""
    with session.step("report"):
        write_pages(session)
    session.record("publish", effects=[*_file_effect(session, "report.html"), *_file_effect(session, "README.md")])


def _file_effect(session: Session, name: str) -> list[dict[str, Any]]:
    return [Effect(kind=f"file:{name}", after_sha=sha256_file(session.run.root / name)).model_dump()]
