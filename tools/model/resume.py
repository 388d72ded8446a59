"""The state of a training on disk, so that one that was killed goes on where it stood and comes to the same bytes."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...state.canonical import sha256_bytes, sha256_json
from ...state.errors import StorageError
from ...state.store import whole_file

_EVERY = 120.0  # seconds between two states: what a kill may cost
_PATIENCE = 20.0  # a state is not written again before the training ran so many times as long as the writing took
_IDENTITY, _RANDOM = "identity", "random"


@dataclass
class Resume:
    """Where a training keeps its state, and of which training it is.

    Attributes:
        path: the file; it stands while the training goes on, and is gone when the model is published.
        identity: names everything that decides the training's bytes; a state of another one is not gone on with.
    """

    path: Path
    identity: str
    _due: float = field(default_factory=lambda: time.monotonic() + _EVERY)

    def restore(self, model: Any, optimizer: Any, losses: np.ndarray) -> int:
        """Put back the state that was saved last, that of torch's random numbers (of dropout), too; without one of this
        training nothing changes.

        ``losses``: float [steps], filled up to the step that is returned: the first that is still to be done.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "pt") as saved:
                if (saved.metadata() or {}).get(_IDENTITY) != self.identity:
                    return 0
                tensors = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 - no dictionary
        except (OSError, SafetensorError):  # there is none, or not all of it: the training begins anew
            return 0
        import torch

        torch.set_rng_state(tensors.pop(_RANDOM))
        done = tensors.pop("losses").numpy()
        losses[: len(done)] = done
        learn = _learning(model)
        with torch.no_grad():
            for name, parameter in learn.items():
                parameter.copy_(tensors[f"weight:{name}"])
        for name, parameter in learn.items():
            state = {key: tensors[f"{key}:{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = state
        return len(done)

    def save(self, model: Any, optimizer: Any, losses: np.ndarray) -> None:
        """Keep the state after the steps whose ``losses`` (float [steps]) these are, where it is time for it.

        Raises:
            StorageError: the disk is full or not writable.
        """
        began = time.monotonic()
        if began < self._due:
            return
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        tensors = {"losses": torch.from_numpy(losses.copy()), _RANDOM: torch.get_rng_state()}
        for name, parameter in _learning(model).items():
            tensors[f"weight:{name}"] = parameter.detach()
            tensors |= {f"{key}:{name}": value for key, value in optimizer.state[parameter].items()}
        with whole_file(self.path) as part:
            try:
                save_file(tensors, part, {_IDENTITY: self.identity})
            except SafetensorError as error:  # its form of an OSError
                raise StorageError(f"cannot keep the state of the training in {self.path}: {error}") from error
        took = time.monotonic() - began
        self._due = time.monotonic() + max(_EVERY, _PATIENCE * took)

    def forget(self) -> None:
        """The training is over: its state is of no more use."""
        self.path.unlink(missing_ok=True)


def _learning(model: Any) -> dict[str, Any]:
    """The parameters that are to learn, by their names; one that stands in two places by its first."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def resume_beside(out: Path, tokens: np.ndarray, model: Any, *decided_by: object) -> Resume:
    """The state of the training whose model is to stand at ``out``.

    Args:
        tokens: what is trained on, int32 [n].
        model: as it is before the first step.
        decided_by: whatever else decides the training: plain values.
    """
    import torch

    def hashed(weights: Any) -> str:
        return sha256_bytes(weights.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())

    begins = {name: hashed(weights) for name, weights in model.state_dict().items()}
    identity = sha256_json([sha256_bytes(tokens.tobytes()), begins, *decided_by])
    return Resume(out.parent / f".{out.name}.training", identity)
