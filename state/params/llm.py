"""The configuration of the language model, of what it writes, scores and labels."""

from typing import Annotated

from pydantic import Field

from .section import Address, Option, Section


class LlmParams(Section):
    """The language model that critiques, decides, synthesises, labels and talks, and what it may cost."""

    model: Annotated[str | None, Option("model", "llm", "PROVIDER:NAME")] = Field(
        None, description="language model: anthropic:NAME, openai:NAME or ollama:NAME; none: rules decide"
    )
    base_url: Annotated[Address, Option("model", metavar="URL")] = Field(
        None, description="address of its server, for OpenAI-compatible ones and proxies"
    )
    max_usd: Annotated[float | None, Option("model")] = Field(
        None, gt=0, description="dollars that questions to the model may cost; embedding elsewhere is not in it"
    )
    max_tokens: Annotated[int | None, Option("model")] = Field(
        None, ge=1, description="tokens the run may use, input and output together"
    )
    usd_per_million: Annotated[tuple[float, float] | None, Option("model", "price", "IN,OUT")] = Field(
        None, description="price of a million input and output tokens, for a model the price table does not know"
    )
    batch: Annotated[bool, Option("model")] = Field(
        False,
        description="critiques, quality scores and labels by the provider's batch API: half the price, hours late",
    )
    looks: int = Field(
        8, ge=0, le=50, description="calls of tools and trial measurements before a decision, at most; 0: none"
    )
    look_seconds: float = Field(300.0, gt=0, description="time in a round after which no further call is made")
    parallel: int = Field(4, ge=1, le=32, description="questions under way at the same time")
    attempts: int = Field(4, ge=1, description="times a question is sent when the server fails")
    deadline_seconds: float = Field(120.0, gt=0, description="time for one question, attempts and waits together")
    context_tokens: int = Field(8192, ge=1024, description="Ollama: tokens of context (its own default is 4096)")


class SynthesisParams(Section):
    """New rows for thin clusters (Self-Instruct, Wang et al. 2023)."""

    seeds: Annotated[str | None, Option("model", file=True)] = Field(
        None, description="a file of hand-written seed rows, used beside those of the cluster"
    )
    max_rows: int = Field(200, ge=1, description="rows one `synthesise` action may add, at most")
    rouge_l: float = Field(0.7, gt=0, le=1, description="ROUGE-L F above which a row repeats a seed or another row")


class QualityParams(Section):
    """A quality score for every row, learned from a few: a language model's, or a person's endorsements."""

    teacher_rows: int = Field(200, ge=0, description="sampled rows a language model scores 0 to 5; 0: none")
    like: Annotated[str | None, Option("model", file=True)] = Field(
        None, description="a file of a few dozen rows a person endorses; they teach the score"
    )
    folds: int = Field(5, ge=2, description="folds of the cross-validated agreement")


class LabelParams(Section):
    """Domain, tags and difficulty of every row: by rules, a classifier that they teach, zero-shot, a language model."""

    taxonomy: Annotated[str | None, Option("model", file=True)] = Field(
        None, description="a YAML file with domains, tags and difficulties; none: no labels"
    )
    precision: float | None = Field(
        0.9, ge=0.5, lt=1, description="classifier: share of its labels that must be right; none: step left out"
    )
    nli_model: str | None = Field(
        None, description="any NLI model of transformers, by name or path; none: step left out"
    )
    min_margin: float = Field(
        0.2, ge=0, le=1, description="zero-shot: lead over the second class below which it is unsure"
    )
    max_model_rows: int = Field(500, ge=0, description="unsure rows the language model labels, at most")
