"""What can be done in a conversation: one table for the slash commands and for the language model's tools.

A tool gives two things: what the person is shown, and what the model is told. The model has tools, so nothing of the
data ever reaches it: it is told figures, enumerations and cluster numbers; rows, ids, terms and themes are for the
person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from rich.console import RenderableType

from ...state.config import ClusterParams, SemanticParams
from ...state.decision import Critique
from ...state.errors import MissingExtraError, ModelError, UsageError
from ...state.report import ClusterEvidence
from ...tools.judge.select import DEDUPLICATE, STRATEGIES
from ..account.explain import explain, told
from ..account.summary import rounds
from ..llm import ToolSpec
from ..llm.ask import schema
from . import show
from .conversation import Conversation, Refusal
from .describe import describe, examples

_MOST_CLUSTERS = 60  # that a model is told about at once
_MOST_ROUNDS = 20
_CHOICES = (ClusterParams.model_fields["algorithm"], SemanticParams.model_fields["which_to_keep"])
# Words that stand in an action.
_WORDS = {*STRATEGIES, DEDUPLICATE, *(word for choice in _CHOICES for word in get_args(choice.annotation))}


class Nothing(BaseModel):
    """No arguments."""

    model_config = ConfigDict(extra="forbid")


class OneCluster(Nothing):
    """A cluster."""

    cluster: int = Field(description="its number")


class OneRow(Nothing):
    """A row."""

    row: str = Field(max_length=500, description="its id, as the person wrote it")


class NewK(Nothing):
    """A number of clusters."""

    k: int


class Prune(Nothing):
    """Which clusters lose rows, and which of their rows stay."""

    clusters: list[int] = Field(min_length=1, max_length=200)
    keep: Literal["closest", "furthest", "random", "drop"] = Field(description="drop keeps none")
    share: float = Field(
        0.0, ge=0, lt=1, validate_default=True, description="share of their rows that stays, below 1; 0 with drop"
    )

    @field_validator("clusters", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("share")
    @classmethod
    def _some_stay(cls, value: float, said: ValidationInfo) -> float:
        if value == 0 and said.data.get("keep", "drop") != "drop":
            raise PydanticCustomError("no_share", "say which share of their rows stays, above 0; drop keeps none")
        return value


class Alternative(Nothing):
    """One of the alternatives to the proposal."""

    number: int = Field(ge=1, description="from 1, in the order they are listed")


class Rounds(Nothing):
    """How many rounds to approve at once."""

    rounds: int = Field(ge=1, le=100)


class Suggestion(Nothing):
    """A command the person may want to type."""

    command: Literal["y", "n", "/keep", "/undo", "/run 3", "/finish", "/quit"]


@dataclass(frozen=True)
class Result:
    """What a tool gives the person to see and the model to know."""

    shown: tuple[RenderableType, ...] = ()
    told: dict[str, Any] = field(default_factory=dict)


By = Literal["person", "model"]


@dataclass(frozen=True)
class Tool:
    """One entry of the table. ``name`` is the model's, ``command`` the person's; a face that is empty is not there."""

    name: str
    command: str
    usage: str
    description: str
    params: type[Nothing]
    run: Callable[[Conversation, Any, By], Result]

    @property
    def spec(self) -> ToolSpec:
        """What a model is told of it."""
        return ToolSpec(name=self.name, description=self.description, parameters=schema(self.params))

    def read(self, words: list[str]) -> Nothing:
        """The arguments from the words behind the command.

        Raises:
            Refusal: too few or too many, or one is not of its kind; the usage is told.
        """
        names = list(self.params.model_fields)
        if names == ["row"]:
            words = [" ".join(words)] if words else []  # an id may hold spaces
        if names and len(words) <= len(names):
            return self.check(dict(zip(names, words, strict=False)))
        if words:
            raise Refusal(f"the command is {self.usage or self.command}")
        return self.check({})

    def check(self, arguments: dict[str, Any]) -> Nothing:
        """The arguments, checked.

        Raises:
            Refusal: they are not what the tool takes.
        """
        try:
            return self.params.model_validate(arguments)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            what = ".".join(map(str, first["loc"]))
            usage = f" (the command is {self.usage})" if self.usage else ""
            raise Refusal(f"{what}: {first['msg']}{usage}") from error


# What stands in the run ------------------------------------------------------------------------------------------


def _critiques(talk: Conversation) -> list[Critique]:
    stored = talk.session.store.json(talk.session.state.artefacts["critiques"])
    return [Critique.model_validate(item) for item in stored]


def _judged(talk: Conversation, number: int) -> tuple[ClusterEvidence, Critique]:
    """The cluster of that number and its critique."""
    report = talk.report()
    for cluster, critique in zip(report.clusters, _critiques(talk), strict=True):
        if cluster.cluster == number:
            return cluster, critique
    raise Refusal(
        f"there is no cluster {number}; there are {report.clusters[0].cluster} to {report.clusters[-1].cluster}"
    )


def _figures(cluster: ClusterEvidence, critique: Critique) -> dict[str, Any]:
    """What a model is told of a cluster: numbers and the critic's enumerations; no terms, rows or words."""
    hidden = {"terms", "medoid", "boundary", "random"}
    numbers = cluster.model_dump(mode="json", exclude=hidden)
    judged = critique.model_dump(mode="json", include={"issues", "verdict", "coherence", "quality", "review"})
    return {**{name: value for name, value in numbers.items() if not isinstance(value, str | list)}, "critic": judged}


def _list_clusters(talk: Conversation, params: Nothing, by: By) -> Result:
    report, critiques = talk.report(), _critiques(talk)
    pairs = sorted(zip(report.clusters, critiques, strict=True), key=lambda pair: -pair[0].size)
    whole = report.model_dump(mode="json", exclude={"clusters"})
    listed = [_figures(*pair) for pair in pairs[:_MOST_CLUSTERS]]
    left_out = len(pairs) - len(listed)
    return Result((show.clusters(report, critiques),), {**whole, "clusters": listed, "smaller_ones_left_out": left_out})


def _show_cluster(talk: Conversation, params: OneCluster, by: By) -> Result:
    cluster, critique = _judged(talk, params.cluster)
    positions = examples(cluster)
    ids = talk.session.ledger()["id"]
    texts = talk.session.frame("text", "text")["text"]
    roles = dict.fromkeys(cluster.random, "random") | dict.fromkeys(cluster.boundary, "boundary")
    roles[cluster.medoid] = "medoid"
    rows = [(roles[at], str(ids[at]), texts[at] or "") for at in positions]
    told_model = {**_figures(cluster, critique), "rows_on_the_person's_screen": len(rows)}
    return Result((show.cluster(cluster, critique, rows),), told_model)


def _describe_cluster(talk: Conversation, params: OneCluster, by: By) -> Result:
    cluster, _ = _judged(talk, params.cluster)
    model = talk.session.model
    if model is None:
        raise Refusal(f"no language model is configured; /show {params.cluster} shows rows and terms")
    try:
        found = describe(model, cluster, talk.session.text)
        problem = "the language model gave no usable description"
    except (ModelError, UsageError, MissingExtraError) as error:  # UsageError: a key is not in the environment
        found, problem = None, str(error)
    if found is None:  # a server's sentence may repeat what it was asked, which holds rows
        return Result((show.line(problem, "yellow"),), {"error": "there is no description"})
    lines = [f"cluster {params.cluster}: {found.about}", *([found.outliers] if found.outliers else [])]
    return Result(tuple(show.line(said) for said in lines), {"on_the_person's_screen": True})


def _why_row(talk: Conversation, params: OneRow, by: By) -> Result:
    try:
        found = explain(talk.session.run.root, params.row)
    except UsageError as error:
        # The sentence names the nearest id, which is data: it is for the person.
        return Result((show.line(str(error), "yellow"),), {"error": "there is no such row"})
    row = {name: found["row"][name] for name in ("status", "split", "stage", "reason", "score", "threshold")}
    return Result(tuple(show.line(said) for said in told(found)), row)


def _metrics(talk: Conversation, params: Nothing, by: By) -> Result:
    first = talk.session.log.of_type("baseline")[0].metrics["objective"]
    now = talk.session.state.values["objective"]
    return Result((show.metrics(first, now),), {"at_the_start": first, "now": now})


def _history(talk: Conversation, params: Nothing, by: By) -> Result:
    ended = rounds(talk.session.log.events)
    listed = [
        {
            **{name: entry[name] for name in ("round", "action", "outcome", "kept", "k")},
            "params": _plain(entry["params"]),
            "gain": round(entry["metrics"]["value"] - entry["before"]["value"], 6),
        }
        for entry in ended[-_MOST_ROUNDS:]
    ]
    return Result((show.history(ended),), {"rounds": listed})


def _proposal(talk: Conversation, params: Nothing, by: By) -> Result:
    shown = _waiting(talk)
    others = [_told(other) for other in shown["alternatives"]]
    known = {"round": shown["round"], "by": shown["by"], "proposal": _told(shown["proposal"]), "alternatives": others}
    return Result((show.proposal(shown),), known)


def _waiting(talk: Conversation) -> dict[str, Any]:
    if talk.proposal is None:
        raise Refusal("nothing waits for an answer: the run has ended")
    return talk.proposal


def _told(candidate: dict[str, Any]) -> dict[str, Any]:
    return {"action": candidate["action"], "params": _plain(candidate["params"]), "rows": candidate["rows"]}


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


def _propose(talk: Conversation, params: Nothing, by: By) -> Result:
    talk.put_forward(by, **put_forward(params, _waiting(talk)["alternatives"]))
    return Result(told={"waits_for_approval": True})


def put_forward(params: Nothing, alternatives: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What arguments propose, as fields of an ``Answer``, beside the ``alternatives`` that were shown.

    Raises:
        Refusal: there is no such alternative, or the arguments propose nothing.
    """
    match params:
        case NewK():
            return {"action": "change_k", "params": {"k": params.k}}
        case Prune():
            strategy = params.keep if params.keep == "drop" else f"keep_{params.keep}"
            wanted = {"clusters": params.clusters, "strategy": strategy, "keep_fraction": params.share}
            return {"action": "prune", "params": wanted}
        case Alternative():
            if params.number > len(alternatives):
                raise Refusal(f"there are {len(alternatives)} alternatives")
            return {"candidate": alternatives[params.number - 1]["id"]}
    raise Refusal("that proposes nothing")


def _suggest(talk: Conversation, params: Suggestion, by: By) -> Result:
    return Result((show.line(f"suggested: type {params.command}", "cyan"),), {"on_the_person's_screen": True})


def _answer(kind: Literal["approve", "reject", "keep", "undo", "finish"]) -> Callable[[Conversation, Any, By], Result]:
    def run(talk: Conversation, params: Nothing, by: By) -> Result:
        talk.reply(kind)
        return Result()

    return run


def _run(talk: Conversation, params: Rounds, by: By) -> Result:
    talk.reply("run", rounds=params.rounds)
    return Result()


_PRUNE = "propose which share of rows stays: closest, furthest, random; or drop"
# name, command, usage, description, arguments, what it does
TABLE: tuple[Tool, ...] = tuple(
    Tool(*row)
    for row in (
        ("list_clusters", "/clusters", "", "all clusters in figures", Nothing, _list_clusters),
        ("show_cluster", "/show", "/show 7", "evidence on a cluster: figures, terms, rows", OneCluster, _show_cluster),
        ("describe_cluster", "/describe", "/describe 7", "a model's words on a cluster", OneCluster, _describe_cluster),
        ("why_row", "/why", "/why ROW", "why a row stayed or went", OneRow, _why_row),
        ("metrics", "/metrics", "", "the objective and its parts", Nothing, _metrics),
        ("history", "/history", "", "what was tried, and what became of it", Nothing, _history),
        ("current_proposal", "/proposal", "", "the action that waits, and its alternatives", Nothing, _proposal),
        ("propose_k", "/k", "/k 12", "propose another number of clusters", NewK, _propose),
        ("propose_prune", "/prune", "/prune 7,9 furthest 0.5", _PRUNE, Prune, _propose),
        ("propose_alternative", "/try", "/try 2", "propose an alternative", Alternative, _propose),
        ("suggest", "", "", "show the person a command they may want to type", Suggestion, _suggest),
        ("", "/yes", "y", "do what is proposed", Nothing, _answer("approve")),
        ("", "/no", "n", "reject it; the next action is proposed", Nothing, _answer("reject")),
        ("", "/run", "/run 3", "approve this and what comes next, so many rounds", Rounds, _run),
        ("", "/keep", "", "keep the last trial although it was rolled back", Nothing, _answer("keep")),
        ("", "/undo", "", "take the last change back", Nothing, _answer("undo")),
        ("", "/finish", "", "end the rounds and write the curated data", Nothing, _answer("finish")),
    )
)
COMMANDS = {tool.command: tool for tool in TABLE if tool.command}
MODEL_TOOLS = {tool.name: tool for tool in TABLE if tool.name}
