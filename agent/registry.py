"""Every capability once: what it is called and takes, which faces offer it, and which of them may act with it.

The faces are built from this table: ``recryst tool NAME``, the slash commands of a conversation, the tools of its
language model, and the steps of the cycle. An implementation is imported when it is used.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from ..state.decision import MOST_OF_A_NOTE
from ..state.errors import UsageError
from ..state.params import final_model, llm, preparation, rounds, selection, vectors
from .decide.proposals import Alternative, Arguments, NewK, OwnPrune
from .mcp import asked

#: A step of the cycle; a tool of the language model that decides, or of the one in conversation; what a person types,
#: at the shell or in conversation; a function of the Python package; a tool of a server for other agents.
Face = Literal["node", "policy", "chat", "command", "python", "mcp"]


_SERVED = "mcp."
READ_ROWS = "read_rows"  # offered in a conversation whose person has said so


@dataclass(frozen=True)
class Capability:
    """One thing that Recryst can do."""

    name: str
    description: str
    params: type[BaseModel]
    implementation: str  # module:attribute, seen from this package; in a conversation a function of chat/
    faces: frozenset[Face]
    acts: frozenset[Face] = frozenset()  # the faces that may change data or a run with it; empty: it changes nothing
    steps: tuple[str, ...] = ()  # of the cycle, that carry it out
    usage: str = ""  # the slash command and an example of its arguments
    version: int = 1
    asks: bool = False  # a tool of the server for other agents that does nothing before a person has approved

    @property
    def tool(self) -> str:
        """What a server for other agents calls it: a conversation has commands of the same names."""
        return self.name.removeprefix(_SERVED)

    def open_to(self, face: Face) -> bool:
        """Whether a face may carry it out. This is the one place that says so."""
        return face in self.faces and (not self.acts or face in self.acts)

    def load(self) -> Any:
        """The implementation."""
        module, _, attribute = self.implementation.partition(":")
        return getattr(import_module(module, __package__), attribute)


class OneCluster(Arguments):
    cluster: int = Field(description="its number")


class Reading(Arguments):
    """What a question without tools is to find out about some rows: those that stand for a cluster, or some by id."""

    cluster: int | None = Field(None, description="the cluster whose rows are read; null where rows are named")
    rows: list[str] = Field(
        default_factory=list, max_length=12, description="ids of rows, as the person wrote them; empty with a cluster"
    )
    question: str = Field(min_length=1, max_length=300, description="what the person wants to know, in their words")

    @model_validator(mode="after")
    def _of_some_rows(self) -> Self:
        if (self.cluster is None) != bool(self.rows):
            raise PydanticCustomError("which", "name a cluster or rows by their ids, one of the two")
        return self


class OneCandidate(Arguments):
    candidate: str = Field(max_length=16, description="its id")


class OtherClusters(Arguments):
    """Another clustering, named by what its algorithm is told."""

    algorithm: Literal["kmeans", "hdbscan"]
    size: int = Field(description="kmeans: how many clusters; hdbscan: rows that a cluster has at least")


class Dimensions(Arguments):
    dimensions: int = Field(description="how many")


class OneRow(Arguments):
    row: str = Field(max_length=500, description="its id, as the person wrote it")


class SomeRows(Arguments):
    """Rows by their ids."""

    rows: list[str] = Field(min_length=1, description="their ids; one with spaces in quotes")


class LabelledRows(Arguments):
    """A label and the rows that are given it."""

    label: str = Field(max_length=500)
    rows: list[str] = Field(min_length=1)


class NotedRow(Arguments):
    """A row and what a person notes about it."""

    row: str = Field(max_length=500, description="its id; one with spaces in quotes")
    note: str = Field(min_length=1, max_length=MOST_OF_A_NOTE)


class Page(Arguments):
    """Some of many rows."""

    first: int = Field(1, ge=1, description="the first row that is shown, from 1")
    many: int = Field(3, ge=1, le=500, description="how many are shown")


class Rounds(Arguments):
    rounds: int = Field(ge=1, le=100)


class OfRow(Arguments):
    said: str = Field(max_length=500, description="keep, remove, label, or label NAME")


class Suggestion(Arguments):
    command: Literal["y", "n", "/keep", "/undo", "/run 3", "/finish", "/quit"]


def _of(faces: str) -> frozenset[Any]:
    return frozenset(faces.split())


def _tool(
    name: str, module: str, params: type[BaseModel], version: int, description: str, steps: str = "", acts: bool = True
) -> Capability:
    """A tool on a table, ``recryst tool NAME``, and the step of its name or the ``steps`` it serves."""
    every = _of("node command python")
    where, acting = f"..tools.{module}:TOOL", every if acts else _of("")
    return Capability(name, description, params, where, every, acting, tuple((steps or name).split()), version=version)


def _alone(name: str, module: str, params: type[BaseModel], description: str) -> Capability:
    """A tool on a table that no step of the cycle is."""
    faces = _of("command python")
    return Capability(name, description, params, f"..tools.{module}:TOOL", faces, faces)


def _part(name: str, where: str, params: type[BaseModel], step: str, faces: str, description: str) -> Capability:
    """A part of the cycle that is a function of Python's, and may be a command."""
    return Capability(name, description, params, where, _of(faces), _of(faces), (step,))


def _look(name: str, usage: str, params: type[Arguments], description: str, does: str = "") -> Capability:
    """What a person and a language model may both do in conversation: look, or put forward what then waits."""
    faces = _of("chat command" if usage else "chat")
    return Capability(name, description, params, f".chat.commands:_{does or name}", faces, usage=usage)


def _read(name: str, usage: str, params: type[Arguments], description: str) -> Capability:
    """A question about rows to a language model without tools, whose answer is for the person alone."""
    faces = _of("chat command" if usage else "chat")
    return Capability(name, description, params, f".chat.reading:{name}", faces, usage=usage)


def _sight(name: str, params: type[Arguments], description: str) -> Capability:
    """What the language model that decides may look at before it chooses: figures, and trial measurements."""
    return Capability(name, description, params, f".steps.deciding.tools:{name}", _of("policy"))


def _answer(name: str, usage: str, params: type[Arguments], description: str, step: str = "") -> Capability:
    """A person's answer to the proposal that waits, or on a row. It acts, and not by a language model's tool."""
    faces = _of("command node" if step else "command")
    return Capability(name, description, params, f".chat.commands:_{name}", faces, faces, tuple(step.split()), usage)


def _served(name: str, params: type[Arguments], description: str, acts: str = "", asks: bool = False) -> Capability:
    """A tool of the server for other agents: ``mcp/looking.py`` reads, ``mcp/acting.py`` acts."""
    module = "acting" if acts else "looking"
    return Capability(
        f"{_SERVED}{name}", description, params, f".mcp.{module}:{name}", _of("mcp"), _of(acts), asks=asks
    )


def _own(name: str, usage: str, params: type[Arguments], description: str, acts: bool = True) -> Capability:
    """What a person alone does with single rows in conversation, or sees of them."""
    faces, acting = _of("command"), _of("command" if acts else "")
    return Capability(name, description, params, f".chat.edits:{name}", faces, acting, usage=usage)


# fmt: off
_TABLE = (
    _tool("clean", "text.clean", preparation.CleanParams, 2,
          "Normalise the text (Unicode, invisible characters, line ends) and take out exact duplicates."),
    _tool("language", "text.language", preparation.LanguageParams, 1,
          "Identify the language of the `text` column; where languages to keep are named, take out the others."),
    _tool("filter", "text.filters", preparation.FilterParams, 2,
          "Take out rows whose `text` fails a quality rule (Gopher, C4, FineWeb); the profile sets which hold."),
    _tool("dedup", "repeats.dedup", preparation.DedupParams, 2,
          "Take out rows that repeat another: exact copies, near-duplicates (MinHash LSH, verified by true Jaccard), "
          "and rows of a corpus."),
    _tool("decontaminate", "repeats.contamination.decontaminate", preparation.DecontaminateParams, 1,
          "Take out the rows whose `text` holds text of the benchmark files in `against`."),
    _tool("embed", "vectors.embed", vectors.EmbedTableParams, 1,
          "Turn the `text` column into unit vectors with a sentence-embedding model; adds `vector`."),
    _tool("semantic", "repeats.semantic", preparation.SemanticParams, 1,
          "Take out rows whose `vector` says what another's says in other words (cosine of nearest neighbours).",
          steps="act"),
    _tool("cluster", "vectors.cluster", vectors.ClusterParams, 1,
          "Group the rows by their `vector` column with k-means, DBSCAN or HDBSCAN; adds `cluster` (-1: noise)."),
    _tool("reduce", "vectors.reduce", vectors.ReduceParams, 1,
          "Draw the `vector` column as 2-D and 3-D maps by PCA, t-SNE and UMAP; adds `pca_2d_x`, `pca_2d_y`, …",
          steps="reduce draw"),
    _tool("score", "vectors.score", vectors.ScoreParams, 1,
          "Score the `cluster` column over `vector`: silhouette, Davies-Bouldin, Calinski-Harabasz.", acts=False),
    _tool("probe", "judge.probe", rounds.ProbeParams, 1,
          "Measure the bits per byte of a small language model trained on `text`, on a held-out tenth.",
          steps="baseline ablate measure", acts=False),
    _alone("select", "judge.selection.choose", selection.SelectParams,
           "Keep so many rows by a strategy: furthest, SemDeDup, D4, k-center, hierarchical, DSIR, …"),
    _part("quality", "..tools.judge.quality:fit_scores", llm.QualityParams, "quality", "node python",
          "Learn a quality score for every row from a few that were scored or endorsed."),
    _part("prune", "..tools.judge.select:prune_cluster", OwnPrune, "act", "node python",
          "Take rows out of a cluster: all, or those that a strategy does not keep."),
    _part("synthesise", ".synthesis.gates:synthesise", llm.SynthesisParams, "act", "node python",
          "Have new rows written for thin clusters, and keep those that pass every gate."),
    _part("train", "..tools.model.train:train", final_model.TrainParams, "train", "node python",
          "Train a small language model and its tokenizer on the curated text."),
    _part("quantise", "..tools.model.quantise:export", final_model.QuantiseParams, "quantise", "node command python",
          "Export a local causal language model as NF4, INT8, INT2 or GGUF."),
    _part("label", "..tools.judge.labels:by_rules", llm.LabelParams, "label", "node python",
          "Label rows with domain, tags and difficulty."),
    _sight("appraise", OneCandidate,
           "Measure on the held-out rows what a candidate that takes out or relabels rows would be worth."),
    _sight("try_clusters", OtherClusters,
           "Cluster the rows by other parameters and score that; it is a candidate then."),
    _sight("try_dimensions", Dimensions, "How much of the rows' variance so many principal components hold."),
    _sight("score_cluster", OneCluster, "All figures of one cluster, and how many of its rows are suspect."),
    _sight("critique_cluster", OneCluster, "The verdict on one cluster, by the critic and by the rules."),
    _look("list_clusters", "/clusters", Arguments, "all clusters in figures"),
    _look("show_cluster", "/show 7", OneCluster, "evidence on a cluster: figures, terms, rows"),
    _read("describe_cluster", "/describe 7", OneCluster, "a model's words on a cluster"),
    _read(READ_ROWS, "", Reading, "have rows read by a model without tools; its answer is shown to the person alone"),
    _look("why_row", "/why ROW", OneRow, "why a row stayed or went"),
    _look("review", "/review", Arguments, "the row in doubt that tells most, and how many there are"),
    _look("metrics", "/metrics", Arguments, "the objective and its parts"),
    _look("history", "/history", Arguments, "what was tried, and what became of it"),
    _look("current_proposal", "/proposal", Arguments, "the action that waits, and its alternatives"),
    _look("propose_k", "/k 12", NewK, "propose another number of clusters", "propose"),
    _look("propose_prune", "/prune 7,9 furthest 0.5", OwnPrune,
          "propose which share of rows stays: closest, furthest, random; or drop", "propose"),
    _look("propose_alternative", "/try 2", Alternative, "propose an alternative", "propose"),
    _look("suggest", "", Suggestion, "show the person a command they may want to type"),
    _own("preview", "/preview 4 20", Page, "rows that the proposal is about: three, or 20 from the 4th on", acts=False),
    _own("restore_rows", "/restore ROW…", SomeRows, "propose to bring removed rows back"),
    _own("drop_rows", "/drop ROW…", SomeRows, "propose to take rows out"),
    _own("protect_rows", "/protect ROW…", SomeRows, "propose that nothing takes these rows out"),
    _own("label_rows", "/relabel NAME ROW…", LabelledRows, "propose another label for rows"),
    _own("note_row", "/note ROW WORDS…", NotedRow, "write a note on a row, for whoever looks at it"),
    _answer("approve", "/yes", Arguments, "do what is proposed; `y` for short"),
    _answer("reject", "/no", Arguments, "reject it, `n` for short; the next action is proposed"),
    _answer("run", "/run 3", Rounds, "approve this and what comes next, so many rounds"),
    _answer("keep", "/keep", Arguments, "keep the last trial although it was rolled back", "keep"),
    _answer("undo", "/undo", Arguments, "take the last change back", "undo"),
    _answer("answer_row", "/answer label NAME", OfRow,
            "say of the row that /review shows: keep, remove, label, or label NAME"),
    _answer("apply", "/apply", Arguments, "do what you have said of rows, and measure anew", "apply"),
    _answer("finish", "/finish", Arguments, "end the rounds and write the curated data"),
    _served("run_status", asked.Status,
            "Where a run stands, what waits for a person, and rows by status. Without `run`: which runs there are."),
    _served("clusters", asked.Clusters, "The clusters of a run in figures, the largest first, with terms and verdict."),
    _served("cluster", asked.OfCluster, "One cluster, with the rows that stand for it."),
    _served("rows", asked.SomeRows, "Rows of a run, searched and filtered; texts are cut and marked as data."),
    _served("explain_row", asked.OfRow, "Why one row stayed or went, step by step, with its twin and its neighbours."),
    _served("metrics", asked.OfRun, "What the data are worth now and at the start, and on the sealed rows in the end."),
    _served("history", asked.Rounds, "What was tried in the last rounds, who decided, and what became of it."),
    _served("audit", asked.OfRun,
            "Verify the log and every file of a run and derive every decision again; takes as long as a round."),
    _served("start_run", asked.NewRun,
            "Begin a run on a source below the server's data folder, up to its first proposal.", "mcp"),
    _served("resume", asked.Waiting, "Go on with a run that was left, to the next proposal or the end.", "mcp"),
    _served("propose", asked.Forward,
            "Put what waits, or another action in its place, before a person, and do what they answer.", "mcp", True),
    _served("undo", asked.Waiting, "Ask a person whether to take the last change back, and do so.", "mcp", True),
)
# fmt: on
CAPABILITIES = {one.name: one for one in _TABLE}


def offered(face: Face) -> Iterator[Capability]:
    """What a face offers, in the order of the table."""
    return (one for one in _TABLE if one.open_to(face))


def table_tools() -> dict[str, Capability]:
    """The tools on a table, by name: what ``recryst tool`` offers. Their implementations are ``TableTool``s."""
    return {one.name: one for one in offered("command") if one.implementation.endswith(":TOOL")}


def capability(name: str) -> Capability:
    """The capability of that name.

    Raises:
        UsageError: there is none; the nearest known name is given.
    """
    if name not in CAPABILITIES:
        (nearest,) = difflib.get_close_matches(name, CAPABILITIES, n=1, cutoff=0.0)
        raise UsageError(f"nothing is called {name!r}; did you mean {nearest!r}?")
    return CAPABILITIES[name]
