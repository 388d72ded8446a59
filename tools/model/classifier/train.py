"""The training that every classifier shares: an encoder and its head learn from labels, or from a teacher's answers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ....state.errors import UsageError
from ....state.phrases import Advance, silent
from ..checkpoint import native_bfloat16
from ..resume import Resume
from .rows import Rows, padded, passes, spelled

if TYPE_CHECKING:
    import torch

    Loss = Callable[[torch.Tensor, np.ndarray], torch.Tensor]

BATCH = 32
_WARM_UP, _DECAY, _CLIP = 0.1, 0.01, 1.0


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a classifier learns.

    ``epochs``: passes over the rows. ``peak``: the encoder's learning rate at its peak. ``context``: tokens of a row
    that are read. ``seed``: of the order of the rows, and of dropout. ``tokens``: the most that are spent. ``head``:
    how much faster the head learns.
    """

    epochs: float
    peak: float
    context: int
    seed: int
    tokens: int | None = None
    head: float = 10.0

    def steps(self, lengths: Sequence[int]) -> int:
        """Batches, of rows of so many tokens."""
        share = 1.0 if self.tokens is None else min(1.0, self.tokens / (self.epochs * sum(lengths)))
        return max(1, round(share * self.epochs * len(lengths) / BATCH))


def fine_tune(
    model: Any, tokenizer: Any, rows: Rows, schedule: Schedule, resume: Resume, advance: Advance = silent
) -> tuple[float, ...]:
    """Teach all weights of a classifier but those of its tokens the labels of ``rows``, all of which have one.

    Cross-entropy, AdamW (Loshchilov and Hutter 2019), the learning rate rising over a tenth of the steps and falling
    to 0 in a line (Devlin et al. 2019, appendix A.2). The head should be a good one already, so that the encoder is not
    bent to a random one (Kumar et al. 2022).

    Args:
        resume: the state of this training, from which it goes on; kept now and then.

    Returns:
        The mean loss of about twenty stretches, in nats per row.

    Raises:
        UsageError: the learning rate diverges.
        StorageError: the disk is full.
    """
    import torch

    classes = torch.from_numpy(rows.classes)

    def loss(logits: "torch.Tensor", chosen: np.ndarray) -> "torch.Tensor":
        return torch.nn.functional.cross_entropy(logits, classes[torch.from_numpy(chosen)])

    return learn(model, tokenizer, rows.texts, loss, schedule, resume, advance)


def learn(
    model: Any, tokenizer: Any, texts: Sequence[str], loss: "Loss", schedule: Schedule, resume: Resume | None = None,
    advance: Advance = silent,
) -> tuple[float, ...]:  # fmt: skip
    """Lower ``loss`` (of logits float32 [n, classes] and the numbers of their texts, int64 [n]).

    ``advance`` is told the tokens of each batch. The same texts, model and seed give the same weights on the same kind
    of CPU.

    Raises:
        UsageError: the learning rate diverges.
        StorageError: the disk is full.
    """
    import torch

    ids = spelled(tokenizer, texts, schedule.context)
    lengths = [len(row) for row in ids]
    steps = schedule.steps(lengths)
    optimizer = _optimizer(model, schedule)
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    losses = np.empty(steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)  # of the dropout
        done = 0 if resume is None else resume.restore(model, optimizer, losses)
        model.train()
        for step, chosen in enumerate(passes(lengths, BATCH, steps, schedule.seed)):
            if step < done:
                advance(sum(lengths[at] for at in chosen))
                continue
            batch = padded([ids[at] for at in chosen], tokenizer.pad_token_id)
            with torch.autocast("cpu", torch.bfloat16, enabled=native_bfloat16()):
                logits = model(**batch).logits
            found = loss(logits.float(), chosen)
            losses[step] = found.item()
            if not math.isfinite(losses[step]):
                raise UsageError(f"training diverged at step {step + 1} of {steps}: lower train.learning_rate")
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * _pace(step, steps)
            found.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learned, _CLIP)
            optimizer.step()
            optimizer.zero_grad()
            advance(sum(lengths[at] for at in chosen))
            if resume is not None:
                resume.save(model, optimizer, losses[: step + 1])
        model.eval()
    return tuple(float(part.mean()) for part in np.array_split(losses, min(20, steps)))


def _optimizer(model: Any, schedule: Schedule) -> Any:
    """AdamW over all that learns: the head faster, vectors without decay."""
    import torch

    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith("classifier"), parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": found,
                "peak": schedule.peak * (schedule.head if head else 1.0),
                "weight_decay": _DECAY if matrix else 0.0,
            }
            for (head, matrix), found in groups.items()
        ],
        lr=schedule.peak,
        fused=True,
    )


def _pace(step: int, steps: int) -> float:
    """The share of the peak learning rate at ``step``."""
    warm = max(1, round(_WARM_UP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)
