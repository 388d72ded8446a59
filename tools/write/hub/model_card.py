"""The model card: a README.md in the form that the Hugging Face Hub reads, with where the model comes from.

Values are escaped as on the dataset card.
"""

import re
from pathlib import Path
from typing import Any

from ....state.params.final_model import GGUF_FORMATS
from ....state.store import write_whole
from ..shown import ReportData
from .card import front_matter, markdown_template

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")  # of a repository
_EMBEDDED = "all-MiniLM-L6-v2"  # what every classifier begins from
_MAKERS = {"q8_0": "gguf", "q4_0": "gguf", "f16": "gguf", "nf4": "bitsandbytes", "int8": "bitsandbytes"}


def write_model_card(data: ReportData, path: Path) -> None:
    """Write the card of a run's final model or classifier: front matter, lineage, training, figures, limits and how to
    verify it.

    The front matter names no licence, which nobody here knows.

    Raises:
        StorageError: the disk is full or not writable; a card that stood there before is intact.
    """
    final = data.final_model
    card = markdown_template("model_card.md.jinja").render(
        data=data,
        front_matter=front_matter(_of_classifier(data) if final is None else _of_language_model(data, final.name)),
        classifier=data.classifiers[-1] if final is None else None,
        embedded=_EMBEDDED,
        training=data.training,
        final=None if final is None else next(model for model in data.models if model.name == final.name),
        dense=data.models[0] if data.models else None,
    )
    write_whole(path, card)


def _of_classifier(data: ReportData) -> dict[str, Any]:
    values: dict[str, Any] = {
        "pipeline_tag": "text-classification",
        "tags": ["recryst"],
        "library_name": "transformers",
    }
    values["base_model"] = f"sentence-transformers/{_EMBEDDED}"
    return values | _data_sets(data) | {"metrics": ["f1", "accuracy"]}


def _of_language_model(data: ReportData, name: str) -> dict[str, Any]:
    base = None if data.training is None else data.training.base
    values: dict[str, Any] = {"pipeline_tag": "text-generation", "tags": ["recryst", *_made_by(name)]}
    if name not in (*GGUF_FORMATS, "int2"):
        values["library_name"] = "transformers"
    if base is not None and _NAME.fullmatch(base):
        values["base_model"] = base
    return values | _data_sets(data) | {"metrics": ["perplexity"]}


def _data_sets(data: ReportData) -> dict[str, Any]:
    """The data set on a hub that the rows are of, if any."""
    named = re.split("[:@]", data.source.removeprefix("hf:"))[0]
    return {"datasets": [named]} if data.source.startswith("hf:") and _NAME.fullmatch(named) else {}


def _made_by(name: str) -> list[str]:
    return [_MAKERS[name], name] if name in _MAKERS else [name] if name == "int2" else []
