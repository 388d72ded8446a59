"""Questions by the provider's batch API: half the price, answered within hours.

The batch's id is on disk before anything is waited for, so that a run that was killed goes on waiting for the same
batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from ...state.canonical import sha256_json
from ...state.errors import ModelError
from ...tools.remote import Fault, Retries, with_retries
from . import Provider
from .answers import Answers
from .budget import BudgetSpent, Purse, Reservation

T = TypeVar("T")

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0


def prefetch(
    provider: Provider,
    answers: Answers,
    purse: Purse,
    bodies: Mapping[str, tuple[Mapping[str, Any], int]],
    retries: Retries,
    say: Callable[[str], None],
) -> None:
    """Have the questions that have no answer yet answered by batch; those a batch does not answer are left out.

    Nothing is handed in where the whole batch might cost more than is left; the questions are then asked one by one for
    as long as the budget lasts.

    Args:
        provider: must have batches.
        answers: where they are recorded.
        purse: what may be spent.
        bodies: by request hash, the body and the most tokens its answer may have.
        retries: of each request about the batch; waiting for the batch itself has no bound but the provider's.
        say: told that a batch was handed in.

    Raises:
        ModelError: the server refused, or stayed out of reach.
        UsageError: the provider has no batches.
    """
    missing = {sha: body for sha, (body, _) in sorted(bodies.items()) if answers.get(sha) is None}
    if not missing:
        return
    name = sha256_json(sorted(missing))
    batch = answers.batch(name)
    held: list[Reservation] = []
    try:
        for sha, body in missing.items():
            held.append(purse.reserve(body, bodies[sha][1], lambda: None))
        if batch is None:
            batch = _sent(provider, retries, lambda seconds: provider.submit(missing, seconds))
            answers.put_batch(name, batch)
            say(f"{len(missing)} questions were handed in as batch {batch}")
        for sha, answer in _wait(provider, batch, retries).items():
            if sha in missing:
                answers.put(sha, provider.name, missing[sha], answer, batched=True)
    except BudgetSpent:
        return
    finally:
        for one in held:  # the answers are charged, at the batch price, when they are used
            purse.release(one)


def _wait(provider: Provider, batch: str, retries: Retries) -> dict[str, dict[str, Any]]:
    wait = FIRST_WAIT
    while True:
        found = _sent(provider, retries, partial(provider.collect, batch))
        if found is not None:
            return found
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def _sent(provider: Provider, retries: Retries, attempt: Callable[[float], T]) -> T:
    try:
        return with_retries(attempt, retries)
    except Fault as fault:
        raise ModelError(f"{provider.name}:{provider.model}: {fault}; `recryst resume` goes on") from fault
