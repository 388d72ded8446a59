"""What each tool of the server takes. Nothing of it is trusted: names and paths are judged where they are used."""

from pydantic import Field

from ..decide.proposals import Arguments, OwnPrune

LONGEST_WAIT = 300


class OfRun(Arguments):
    run: str = Field(max_length=100, description="the name of a run, as run_status lists them")


class Waiting(OfRun):
    """A tool after which the run may be at work for minutes."""

    wait: int = Field(30, ge=0, le=LONGEST_WAIT, description="seconds to wait until the run comes to rest")


class Status(Arguments):
    """A run, or none; as for the tools that act, how long to wait, and here by default not at all."""

    run: str = Field("", max_length=100, description="the name of a run; empty lists them")
    wait: int = Field(0, ge=0, le=LONGEST_WAIT, description="seconds to wait until the run comes to rest")


class Clusters(OfRun):
    """Some of the clusters."""

    offset: int = Field(0, ge=0)
    limit: int = Field(30, ge=1, le=60)


class OfCluster(OfRun):
    cluster: int = Field(description="its number; -1 is noise")


class SomeRows(OfRun):
    """Rows that are asked for; filters name the values of a facet that are wanted."""

    search: str = Field("", max_length=500, description="words that a row holds")
    filters: dict[str, list[str]] = Field(
        {}, description="values by facet: status, cluster, label, source, language, reason"
    )
    sort: str = Field("", max_length=20, description="row, length, label, status, reason, score, cluster or quality")
    descending: bool = False
    offset: int = Field(0, ge=0)
    limit: int = Field(20, ge=1, le=50)


class OfRow(OfRun):
    row: int = Field(ge=0, description="its position, as `rows` tells it")


class Rounds(OfRun):
    limit: int = Field(10, ge=1, le=20, description="how many of the last rounds")


class NewRun(Waiting):
    """A run to begin. Other settings are those that the server was started with."""

    run: str = Field("", max_length=100, description="its name; by default the source's")
    source: str = Field(max_length=500, description="a file or folder below the server's data folder")
    text_column: str | None = Field(None, max_length=200)
    label_column: str | None = Field(None, max_length=200)
    max_rounds: int | None = Field(None, ge=1, le=50)


class Forward(Waiting):
    """What is put before the person: one of three, or none of them for what waits already."""

    candidate: str = Field("", max_length=16, description="the id of an alternative")
    k: int | None = Field(None, ge=2, le=100_000, description="another number of clusters")
    prune: OwnPrune | None = Field(None, description="clusters that lose rows")
