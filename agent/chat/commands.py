"""What can be done in a conversation: the slash commands and the language model's tools, as the registry lists them.

A command gives two things: what the person is shown, and what the model is told. The model has tools, so nothing of the
data ever reaches it: it is told figures, enumerations and cluster numbers; rows, ids, terms and themes are for the
person.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import polars as pl
from rich.console import RenderableType

from ...state.actions import Strategy
from ...state.canonical import Json
from ...state.decision import Candidate, Critique, Proposal, RowAnswer
from ...state.errors import UsageError
from ...state.params.preparation import SemanticParams
from ...state.params.vectors import ClusterParams
from ...state.report import ClusterEvidence
from ...tools.write.review import said_of_row
from ..account import tables
from ..account.explain import explain, told
from ..account.summary import rounds
from ..decide.person import unknown_label
from ..decide.proposals import Arguments, Refusal, put_forward
from ..decide.review import in_doubt, listed
from ..registry import Capability, Face, OfRow, OneCluster, OneRow, Rounds, Suggestion, offered
from .conversation import ENDED, Conversation
from .words import first_and_rest, quoted, unquoted

_MOST_CLUSTERS = 60  # that a model is told about at once
_MOST_ROUNDS = 20
_CHOICES = (ClusterParams.model_fields["algorithm"], SemanticParams.model_fields["which_to_keep"])
# Words that stand in an action.
_WORDS = {*get_args(Strategy), *(word for choice in _CHOICES for word in get_args(choice.annotation))}

COMMANDS = {one.usage.split()[0]: one for one in offered("command") if one.usage}
MODEL_TOOLS = {one.name: one for one in offered("chat")}

By = Literal["person", "model"]
_FACES: dict[By, Face] = {"person": "command", "model": "chat"}


@dataclass(frozen=True)
class Result:
    """What a command gives the person to see and the model to know."""

    shown: tuple[RenderableType, ...] = ()
    told: Json = field(default_factory=dict)


def read(command: Capability, words: list[str]) -> Json:
    """The arguments from the words behind a command.

    Raises:
        Refusal: too many; the usage is told; or a quote is not closed.
    """
    names = list(command.params.model_fields)
    if names == ["row"]:
        words = [unquoted(" ".join(words))] if words else []  # an id may hold spaces
    elif names == ["said"]:
        words = [" ".join(words)] if words else []  # and so may a label
    elif names[-1:] == ["note"]:
        words = first_and_rest(" ".join(words))
    elif names[-1:] == ["rows"]:
        words, head = quoted(" ".join(words)), len(names) - 1
        return dict(zip(names, [*words[:head], words[head:]], strict=False)) if len(words) > head else {}
    if len(words) > len(names):
        raise Refusal(f"the command is {command.usage}")
    return dict(zip(names, words, strict=False))


def carry_out(talk: Conversation, command: Capability, arguments: Json, by: By) -> Result:
    """Do what a command says.

    Raises:
        Refusal: it cannot be done, or not by whoever asks for it, or the arguments are not what it takes.
        RecrystError: a step of the run failed.
    """
    if not command.open_to(_FACES[by]):
        raise Refusal("only a person may do that; nothing was done")
    assert issubclass(command.params, Arguments)
    done: Result = command.load()(talk, command.params.read(arguments, command.usage), by)
    return done


# What stands in the run ------------------------------------------------------------------------------------------


def judged(talk: Conversation, number: int) -> tuple[ClusterEvidence, Critique]:
    """The cluster of that number and its critique.

    Raises:
        Refusal: there is none.
    """
    view = talk.session.view
    report = view.report()
    for cluster, critique in zip(report.clusters, view.critiques(), strict=True):
        if cluster.cluster == number:
            return cluster, critique
    raise Refusal(
        f"there is no cluster {number}; there are {report.clusters[0].cluster} to {report.clusters[-1].cluster}"
    )


def _figures(cluster: ClusterEvidence, critique: Critique) -> Json:
    """What a model is told of a cluster: numbers and the critic's enumerations; no terms, rows or words."""
    hidden = {"terms", "medoid", "boundary", "random"}
    numbers = cluster.model_dump(mode="json", exclude=hidden)
    judged = critique.model_dump(mode="json", include={"issues", "verdict", "coherence", "quality", "review"})
    return {**{name: value for name, value in numbers.items() if not isinstance(value, str | list)}, "critic": judged}


def _list_clusters(talk: Conversation, params: Arguments, by: By) -> Result:
    report, critiques = talk.session.view.report(), talk.session.view.critiques()
    pairs = sorted(zip(report.clusters, critiques, strict=True), key=lambda pair: -pair[0].size)
    whole = report.model_dump(mode="json", exclude={"clusters"})
    listed = [_figures(*pair) for pair in pairs[:_MOST_CLUSTERS]]
    left_out = len(pairs) - len(listed)
    shown = tables.clusters(report, critiques)
    return Result((shown,), {**whole, "clusters": listed, "smaller_ones_left_out": left_out})


def examples(cluster: ClusterEvidence) -> dict[int, str]:
    """Positions of the rows that stand for a cluster, the most typical first, and what each is."""
    roles = {cluster.medoid: "medoid"}
    for at, role in [*((at, "boundary") for at in cluster.boundary), *((at, "random") for at in cluster.random)]:
        roles.setdefault(at, role)
    return roles


def _show_cluster(talk: Conversation, params: OneCluster, by: By) -> Result:
    cluster, critique = judged(talk, params.cluster)
    ids, texts = talk.session.view.ledger()["id"], talk.session.view.texts()
    rows = [(role, str(ids[at]), texts[at] or "") for at, role in examples(cluster).items()]
    told_model = {**_figures(cluster, critique), "rows_on_the_person's_screen": len(rows)}
    return Result((tables.cluster(cluster, critique, rows),), told_model)


def _why_row(talk: Conversation, params: OneRow, by: By) -> Result:
    try:
        found = explain(talk.session.view, params.row)
    except UsageError as error:
        # The sentence names the nearest id, which is data: it is for the person.
        return Result((tables.line(str(error), "yellow"),), {"error": "there is no such row"})
    row = found.row.model_dump(include={"status", "split", "stage", "reason", "score", "threshold"})
    return Result(tuple(tables.line(said) for said in told(found)), row)


def _review(talk: Conversation, params: Arguments, by: By) -> Result:
    """The most informative row in doubt but for those held out; a model is told how many there are."""
    view = talk.session.view
    doubts = in_doubt(view).filter(pl.col("row").is_in(view.kept()))
    known = {
        "rows_in_doubt": doubts.height,
        "by": dict(doubts["why"].value_counts(name="rows").sort("why").iter_rows()),
    }
    if by == "model" or doubts.is_empty():
        talk.reviewed = None if doubts.is_empty() else talk.reviewed
        return Result((tables.line("no row is in doubt that stands"),) if doubts.is_empty() else (), known)
    talk.reviewed = int(doubts["row"][0])
    (first,) = listed(view, doubts.head(1))
    return Result((tables.in_doubt(first, doubts.height),), known)


def _answer_row(talk: Conversation, params: OfRow, by: By) -> Result:
    """Say what the row is that ``/review`` showed, and see the next one."""
    if talk.reviewed is None:
        raise Refusal("no row was shown yet: /review shows one")
    view = talk.session.view
    doubts = in_doubt(view).filter(pl.col("row") == talk.reviewed)
    try:
        answer, label = said_of_row(params.said, doubts["suggested"][0] if doubts.height else None)
    except ValueError as error:
        raise Refusal(str(error)) from error
    if label is not None and (unknown := unknown_label(view, label)):
        raise Refusal(unknown)
    talk.tell(RowAnswer(row=talk.reviewed, answer=answer, label=label))
    return _review(talk, Arguments(), by)


def _metrics(talk: Conversation, params: Arguments, by: By) -> Result:
    baseline = talk.session.log.of_type("baseline")[0]
    assert baseline.state is not None
    first, now = baseline.state.values.objective, talk.session.view.objective
    assert first is not None
    known = {"at_the_start": first.model_dump(mode="json"), "now": now.model_dump(mode="json")}
    return Result((tables.metrics(first, now),), known)


def _history(talk: Conversation, params: Arguments, by: By) -> Result:
    ended = rounds(talk.session.view)
    listed = [
        {
            **entry.model_dump(include={"round", "action", "outcome", "kept", "k"}),
            "params": _plain(entry.params),
            "gain": round(entry.metrics.value - entry.before.value, 6),
        }
        for entry in ended[-_MOST_ROUNDS:]
    ]
    return Result((tables.rounds(ended) if ended else tables.line("no round has ended yet"),), {"rounds": listed})


def _current_proposal(talk: Conversation, params: Arguments, by: By) -> Result:
    shown = _waiting(talk)
    others = [_told(other) for other in shown.alternatives]
    known = {"round": shown.round, "by": shown.by, "proposal": _told(shown.candidate), "alternatives": others}
    return Result((tables.proposal(shown),), known)


def _waiting(talk: Conversation) -> Proposal:
    if talk.proposal is None:
        raise Refusal(ENDED)
    return talk.proposal


def _told(candidate: Candidate) -> Json:
    return {"action": candidate.action.action, "params": _plain(candidate.action.params), "rows": candidate.rows}


def _plain(value: Any) -> Any:
    """Parameters of an action as a model is told them: numbers, and the words that code has for them."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value if value in _WORDS else "…"
    return value


# What changes the proposal, and answers to it --------------------------------------------------------------------


def _propose(talk: Conversation, params: Arguments, by: By) -> Result:
    talk.put_forward(by, put_forward(params, _waiting(talk).alternatives))
    return Result(told={"waits_for_approval": True})


def _suggest(talk: Conversation, params: Suggestion, by: By) -> Result:
    return Result((tables.line(f"suggested: type {params.command}", "cyan"),), {"on_the_person's_screen": True})


def _answer(kind: Literal["approve", "reject", "keep", "undo", "finish", "apply"]) -> Callable[..., Result]:
    def answer(talk: Conversation, params: Arguments, by: By) -> Result:
        talk.reply(kind)
        return Result()

    return answer


_approve, _reject, _finish = _answer("approve"), _answer("reject"), _answer("finish")
_keep, _undo, _apply = _answer("keep"), _answer("undo"), _answer("apply")


def _run(talk: Conversation, params: Rounds, by: By) -> Result:
    talk.reply("run", rounds=params.rounds)
    return Result()
