"""What the steps on the final model have in common: the figures of a model, and the files it left."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ....state.params.final_model import GGUF_FORMATS
from ....state.values import ModelFigures
from ...view import View
from ..finish import Written, repeated

if TYPE_CHECKING:
    from ....tools.model.perplexity import Evaluation


@dataclass(frozen=True)
class Models(Written):
    """The models that a step wrote; and the formats that they cannot be written in, and why."""

    models: tuple[ModelFigures, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def shuffled_rows(view: View) -> np.ndarray:
    """Positions of the curated training rows in a random order, uint32 [n]; rows that are repeated stand so often."""
    rows, again = view.kept(), repeated(view)
    if again is not None:
        rows = np.repeat(again["row"].to_numpy(), again["repeat"].to_numpy())
    return rows[np.random.default_rng(view.seed(6)).permutation(len(rows))]


def figures(name: str, found: "Evaluation", dense: "Evaluation") -> ModelFigures:
    """The figures of a model beside those of the dense one."""
    in_transformers = name not in GGUF_FORMATS  # GGUF was read back by Transformers, but that is not what will run it
    return ModelFigures(
        name=name,
        size_bytes=found.size_bytes,
        perplexity=round(found.perplexity, 4),
        bits_per_byte=round(found.bits_per_byte, 6),
        answer=found.answer,
        memory_bytes=found.memory_bytes,
        agreement=round(found.agreement(dense), 4),
        speed=round(found.tokens_per_second / dense.tokens_per_second, 2) if in_transformers else None,
    )


def sized(view: View, model: ModelFigures) -> ModelFigures:
    """The figures with the size that the model's files have."""
    from ....tools.model.checkpoint import weight_bytes

    if model.name not in ("dense", *view.config.quantise.formats):
        return model  # no name of a folder of ours: the event is refused
    return model.model_copy(update={"size_bytes": weight_bytes(view.run.model / model.name)})
