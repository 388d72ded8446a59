"""Questions by the provider's batch API: half the price, answered within hours.

The batch's id and questions are on disk before anything is waited for, so that a run that was killed goes on waiting
for the same batch.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from ...state.canonical import Json, sha256_json
from ...state.errors import ModelError, RecrystError
from ...state.phrases import counted
from ...tools.vectors.net import Fault, Retries, with_retries
from . import Usage
from .answers import Answers, Batch
from .budget import LOST, BudgetSpent, Purse, Reservation
from .vendor import BatchVendor

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0

Questions = Mapping[str, tuple[Json, int]]  # by request hash, the body and the most tokens of its answer
Lose = Callable[[str, Usage, str], None]


class Batches:
    """The batches of a run."""

    def __init__(
        self,
        provider: BatchVendor,
        answers: Answers,
        purse: Purse,
        retries: Retries,
        lose: Lose,
        say: Callable[[str], None],
    ) -> None:
        """Set aside what the batches that an earlier process handed in may cost.

        Args as of ``Live``. ``retries`` are of a request about a batch; waiting for the batch itself has no bound but
        the provider's. ``lose`` is told of each question that may be billed in vain, its tokens and why.
        """
        self._provider = provider
        self._answers = answers
        self._purse = purse
        self._retries = retries
        self._lose = lose
        self._say = say
        self._held = {
            name: {sha: purse.hold_earlier(usage) for sha, usage in batch.worst.items()}
            for name, batch in answers.batches().items()
        }

    def fetch(self, questions: Questions) -> None:
        """Have the questions that have no answer yet answered by batch; those a batch does not answer are left out.

        Raises:
            ModelError: the server refused, or stayed out of reach.
        """
        missing = {sha: questions[sha] for sha in sorted(questions) if not self._answers.has(sha)}
        for name, batch in self._answers.batches().items():
            if missing.keys() & batch.bodies.keys():  # handed in before the process was killed
                self._collect(name, batch)
                missing = {sha: question for sha, question in missing.items() if sha not in batch.bodies}
        if missing:
            self._submit(missing)

    def _submit(self, questions: Questions) -> None:
        """Hand in a batch and wait for it; nothing is handed in where all of it might cost more than is left."""
        held: dict[str, Reservation] = {}
        try:
            for sha, (body, max_tokens) in questions.items():
                held[sha] = self._purse.reserve(body, max_tokens, lambda: None)
        except BudgetSpent:  # they are asked one by one for as long as the budget lasts
            self._release(held)
            return
        bodies = {sha: body for sha, (body, _) in questions.items()}
        worst = {sha: one.worst for sha, one in held.items()}

        def not_twice(fault: Fault) -> None:
            if fault.kind == "unsure":  # the provider may have taken the batch, and bills it
                raise fault

        for sha, usage in worst.items():  # of a batch that is killed from here on nobody knows the id
            self._answers.pend(sha, usage)
        try:
            taken = with_retries(partial(self._provider.submit, bodies), self._retries, not_twice)
        except Fault as fault:
            if fault.kind == "unsure":
                self._lose_all(held, f"{LOST}: its batch: {fault}")
            else:
                self._release(held)
                self._unpend(held)
            raise self._error(fault) from fault
        except RecrystError:  # nothing was sent
            self._release(held)
            self._unpend(held)
            raise
        name = sha256_json(sorted(bodies))
        batch = Batch(batch=taken, bodies=bodies, worst=worst)
        self._answers.put_batch(name, batch)
        self._unpend(held)
        self._held[name] = held
        self._say(f"{counted(len(bodies), 'question')} handed in as batch {taken}")
        self._collect(name, batch)

    def _collect(self, name: str, batch: Batch) -> None:
        """Wait for a batch and record its answers, at the batch price."""
        try:
            found = self._wait(batch.batch)
        except Fault as fault:
            if fault.status not in (404, 410):
                raise self._error(fault) from fault
            self._say(f"batch {batch.batch} is gone: it counts as paid, and its questions are asked one by one")
            self._lose_all(self._held[name], f"{LOST}: its batch {batch.batch} is gone")
            found = {}
        for sha, answer in found.items():
            if sha in batch.bodies and not self._answers.has(sha):
                usage = self._provider.read(answer).usage
                charged = usage if usage.total else batch.worst[sha]
                self._answers.put(sha, self._provider.name, batch.bodies[sha], answer, charged, batched=True)
        self._answers.drop_batch(name)
        self._release(self._held.pop(name))  # what was answered is charged when it is used

    def _wait(self, batch: str) -> dict[str, Json]:
        wait = FIRST_WAIT
        while (found := with_retries(partial(self._provider.collect, batch), self._retries)) is None:
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        return found

    def _lose_all(self, held: Mapping[str, Reservation], problem: str) -> None:
        for sha, one in held.items():
            self._purse.lose(one)
            self._lose(sha, one.worst, problem)

    def _release(self, held: Mapping[str, Reservation]) -> None:
        for one in held.values():
            self._purse.release(one)

    def _unpend(self, shas: Iterable[str]) -> None:
        for sha in shas:
            self._answers.unpend(sha)

    def _error(self, fault: Fault) -> ModelError:
        return ModelError(f"{self._provider.name}:{self._provider.model}: {fault}")
