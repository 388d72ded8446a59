"""Distillation: a classifier learns what another one makes of the rows, labelled or not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....state.phrases import Advance, silent
from ..resume import Resume
from .train import Schedule, learn

if TYPE_CHECKING:
    import torch

_TEMPERATURE = 2.0


def distil(
    student: Any, tokenizer: Any, texts: Sequence[str], answers: np.ndarray, schedule: Schedule,
    resume: Resume | None = None, advance: Advance = silent,
) -> tuple[float, ...]:  # fmt: skip
    """Teach a classifier the logits that its teacher gives for ``texts`` (``answers``, float32 [n, classes]).

    The loss is the cross-entropy to the teacher's probabilities at temperature 2, times its square (Hinton et al. 2015,
    section 2); labels have no part in it, so that rows without one teach as well (Turc et al. 2019).

    Args:
        resume: the state of this training, from which it goes on; kept now and then.

    Returns:
        The mean loss of about twenty stretches.

    Raises:
        UsageError: the learning rate diverges.
        StorageError: the disk is full.
    """
    import torch

    wanted = torch.softmax(torch.from_numpy(answers) / _TEMPERATURE, dim=-1)

    def loss(logits: "torch.Tensor", chosen: np.ndarray) -> "torch.Tensor":
        target = wanted[torch.from_numpy(chosen)]
        return _TEMPERATURE**2 * torch.nn.functional.cross_entropy(logits / _TEMPERATURE, target)

    return learn(student, tokenizer, texts, loss, schedule, resume, advance)
