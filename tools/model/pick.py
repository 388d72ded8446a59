"""Which export is the final model: the smallest that loses no more than was allowed."""

from collections.abc import Mapping, Sequence

from ...state.params.final_model import QuantiseParams
from ...state.values import FinalModel, ModelFigures


def loss(model: ModelFigures, dense: ModelFigures) -> float:
    """What an export adds to the perplexity of the dense model, relative to it, to six digits."""
    return round(model.perplexity / dense.perplexity - 1, 6)


def pick_final(models: Sequence[ModelFigures], params: QuantiseParams, left_out: Mapping[str, str]) -> FinalModel:
    """The final one of ``models``, whose first is dense, with the reason in words.

    ``auto`` takes the smallest file among the exports that add at most ``params.max_loss`` to the perplexity. Where
    none does, and where the format that was named does not or could not be written, the dense one is final.

    Args:
        left_out: formats that this model cannot be written in, with why.
    """
    dense, exports = models[0], models[1:]
    limit = f"quantise.max_loss = {params.max_loss:.2%}"
    if params.to == dense.name or not exports:
        why = "it was named in quantise.to" if params.to == dense.name else "there is no other"
        return FinalModel(name=dense.name, why=why)
    if params.to != "auto":
        named = next((model for model in exports if model.name == params.to), None)
        if named is None:
            return FinalModel(name=dense.name, why=f"{params.to} was named, but {left_out[params.to]}")
        told = f"{named.name} was named in quantise.to and {_says(named, dense)}"
        if loss(named, dense) > params.max_loss:
            return FinalModel(name=dense.name, why=f"{told}, more than {limit} allows: it is not shipped as final")
        return FinalModel(name=named.name, why=told)
    good = [model for model in exports if loss(model, dense) <= params.max_loss]
    lossy = [f"{model.name} {_says(model, dense)}" for model in exports if model not in good]
    beyond = f"; beyond {limit}: {', '.join(lossy)}" if lossy else ""
    if not good:
        return FinalModel(name=dense.name, why=f"no export stays within the loss that is allowed{beyond}")
    best = min(good, key=lambda model: (model.size_bytes, loss(model, dense)))
    size = f"{best.size_bytes / 1e6:.2f} MB, {best.size_bytes / dense.size_bytes:.0%} of {dense.name}"
    return FinalModel(
        name=best.name,
        why=f"the smallest ({size}) that stays within {limit}: it {_says(best, dense)}{beyond}",
    )


def _says(model: ModelFigures, dense: ModelFigures) -> str:
    return f"changes the perplexity by {loss(model, dense):+.2%}"
