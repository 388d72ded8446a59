"""What may be put forward in conversation in place of the proposal, by a person or by a language model's tool call.

It stands apart from the conversation, so that the audit reads a recorded call without it.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ...state.actions import MOST_ROWS, ChangeK, Edit, EditRows, Prune
from ...state.canonical import Json
from ...state.decision import Candidate
from ...state.report import Record


class Refusal(Exception):
    """What was asked for is not done, and the sentence says why; nothing has changed and the conversation goes on."""


class Arguments(BaseModel):
    """What a command or a tool of a conversation takes: nothing, or the fields that a subclass adds."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def read(cls, values: Json, usage: str = "") -> Self:
        """The arguments, checked.

        Raises:
            Refusal: they are not what is taken; ``usage`` is told.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            what = ".".join(map(str, first["loc"]))
            raise Refusal(f"{what}: {first['msg']}" + (f" (the command is {usage})" if usage else "")) from error


def _some(k: int) -> int:
    if k < 2:
        raise PydanticCustomError("too_few", "k is a number from 2 to a fifth of the rows")
    return k


class NewK(Arguments):
    k: Annotated[int, AfterValidator(_some)]


class OwnPrune(Arguments):
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

    @field_validator("clusters")
    @classmethod
    def _each_once(cls, value: list[int]) -> list[int]:
        if len(set(value)) < len(value):
            raise PydanticCustomError("twice", "a prune names clusters, each once")
        return value

    @field_validator("share")
    @classmethod
    def _some_stay(cls, value: float, said: ValidationInfo) -> float:
        if value == 0 and said.data.get("keep", "drop") != "drop":
            raise PydanticCustomError("no_share", "say which share of their rows stays, above 0; drop keeps none")
        return value


class OwnEdit(Arguments):
    """What a person does with which rows, by position, and with ``label`` which."""

    edit: Edit
    rows: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=MOST_ROWS)
    label: str | None = None


class Alternative(Arguments):
    number: int = Field(ge=1, description="from 1, in the order they are listed")


class PutForward(Record):
    """What takes the place of the proposal: the id of an alternative, or an action of one's own; as in ``Answer``."""

    candidate: str = ""
    action: ChangeK | Prune | EditRows | None = None


def put_forward(params: Arguments, alternatives: Sequence[Candidate]) -> PutForward:
    """What arguments propose, beside the ``alternatives`` that were shown.

    Raises:
        Refusal: there is no such alternative, or the arguments propose nothing.
    """
    match params:
        case NewK(k=k):
            return PutForward(action=ChangeK(algorithm="kmeans", k=k))
        case OwnPrune(clusters=clusters, keep="drop"):
            return PutForward(action=Prune(clusters=tuple(clusters), strategy="drop"))
        case OwnPrune(clusters=clusters, keep="closest" | "furthest" | "random" as keep, share=share):
            action = Prune(clusters=tuple(clusters), strategy=f"keep_{keep}", keep_fraction=share)
            return PutForward(action=action)
        case Alternative(number=number):
            if number > len(alternatives):
                raise Refusal(f"there are {len(alternatives)} alternatives")
            return PutForward(candidate=alternatives[number - 1].id)
    raise Refusal("that proposes nothing")


def called_for(name: str, arguments: Json, alternatives: Sequence[Candidate]) -> PutForward | None:
    """What a language model's call of the tool ``name`` puts forward; None: nothing."""
    from ..registry import CAPABILITIES

    tool = CAPABILITIES.get(name)
    if tool is None or not tool.open_to("chat"):
        return None
    try:
        return put_forward(tool.params.read(arguments), alternatives) if issubclass(tool.params, Arguments) else None
    except Refusal:
        return None
