"""Handwritten digits: the IDX files of MNIST (LeCun et al. 1998), and LeNet-5, which learns them."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...state.errors import InputError
from ..data import existing

_BATCH = 128
_RATE = 2e-3  # Adam's, falling to 0 by a cosine


@dataclass(frozen=True)
class Digits:
    """Images (float32 [n, 28, 28], 0 to 1) and what they show (int64 [n])."""

    images: np.ndarray
    labels: np.ndarray


def mnist(data: Path) -> tuple[Digits, Digits]:
    """The 60,000 training and 10,000 test digits.

    Raises:
        InputError: a file is not there, or no IDX file.
    """
    train, test = (
        Digits(
            _idx(existing(data, f"mnist/{name}-images-idx3-ubyte.gz")).astype(np.float32) / 255,
            _idx(existing(data, f"mnist/{name}-labels-idx1-ubyte.gz")).astype(np.int64),
        )
        for name in ("train", "t10k")
    )
    return train, test


def _idx(path: Path) -> np.ndarray:
    """The bytes of a gzipped IDX file in their shape, uint8."""
    with gzip.open(path, "rb") as file:
        held = file.read()
    axes = held[3] if len(held) > 4 and held[:3] == b"\0\0\x08" else 0
    shape = np.frombuffer(held, dtype=">i4", count=axes, offset=4)
    if not axes or len(held) != 4 + 4 * axes + int(shape.prod()):
        raise InputError(f"{path} is not an IDX file of bytes")
    return np.frombuffer(held, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape.tolist())


def accuracy(train: Digits, test: Digits, epochs: int, seed: int) -> float:
    """The share of test digits that LeNet-5, trained for so many epochs, tells.

    Its shape is that of LeCun et al. 1998, §II.B, with rectifiers, maximum pooling and a softmax; Adam on batches of
    128, its rate falling to 0. The network of the last epoch counts: the test digits choose nothing.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )
    images, labels = torch.from_numpy(train.images[:, None]), torch.from_numpy(train.labels)
    steps = epochs * -(-len(labels) // _BATCH)
    optimiser = torch.optim.Adam(net.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        drawn = torch.randperm(len(labels), generator=order)
        for at in range(0, len(labels), _BATCH):
            batch = drawn[at : at + _BATCH]
            optimiser.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(net(images[batch]), labels[batch]))
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        said = net(torch.from_numpy(test.images[:, None])).argmax(1)
    return float((said.numpy() == test.labels).mean())
