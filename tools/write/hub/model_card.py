"""The model card: a README.md in the form that the Hugging Face Hub reads, with where the model comes from.

Values are escaped as on the dataset card.
"""

import re
from pathlib import Path
from typing import Any

from ....state.params.final_model import GGUF_FORMATS
from ....state.store import write_whole
from ..shown import ReportData
from .card import Markdown, front_matter, markdown_template

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")  # of a repository
_MAKERS = {"q8_0": "gguf", "q4_0": "gguf", "f16": "gguf", "nf4": "bitsandbytes", "int8": "bitsandbytes"}


def write_model_card(data: ReportData, path: Path) -> None:
    """Write the card of a run's final model: front matter, lineage, training, formats, limits and how to verify it.

    The front matter names no licence, which nobody here knows.

    Raises:
        StorageError: the disk is full or not writable; a card that stood there before is intact.
    """
    assert data.final_model is not None
    assert data.training is not None
    final = next(model for model in data.models if model.name == data.final_model.name)
    card = markdown_template("model_card.md.jinja").render(
        data=data, training=data.training, final=final, dense=data.models[0], front_matter=_front_matter(data)
    )
    write_whole(path, card)


def _front_matter(data: ReportData) -> Markdown:
    assert data.final_model is not None
    assert data.training is not None
    name, base, source = data.final_model.name, data.training.base, data.source.removeprefix("hf:")
    values: dict[str, Any] = {"pipeline_tag": "text-generation", "tags": ["recryst", *_made_by(name)]}
    if name not in GGUF_FORMATS:
        values["library_name"] = "transformers"
    if base is not None and _NAME.fullmatch(base):
        values["base_model"] = base
    if data.source.startswith("hf:") and _NAME.fullmatch(named := re.split("[:@]", source)[0]):
        values["datasets"] = [named]
    return front_matter(values | {"metrics": ["perplexity"]})


def _made_by(name: str) -> list[str]:
    return [_MAKERS[name], name] if name in _MAKERS else []
