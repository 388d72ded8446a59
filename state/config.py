"""The configuration: every key, its default and its bounds. ``settings`` reads it from files and options.

Each section is also the input model of the tool of that name. Thresholds whose source is a paper or a peer name it
beside the key.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from .preparation import (
    AnchorParams,
    CleanParams,
    DecontaminateParams,
    DedupParams,
    FilterParams,
    LanguageParams,
    LoadParams,
    Option,
    ScrubParams,
    SealedParams,
    Section,
    SemanticParams,
)

LACKS_MODEL = "lacks_model"  # the type of an error: a key stands for nothing without llm.model
AT_ODDS = "at_odds"  # the type of an error: a key is at odds with another


def _address(value: str | None) -> str | None:
    """A server's address; a name and password in it would be written into the run."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not hold a name, a password or a query; keys belong in the environment")
    return value


Address = Annotated[str | None, AfterValidator(_address)]


class EmbedParams(Section):
    """Which model turns text into unit vectors."""

    model: Annotated[str, Option("data")] = Field(
        "minilm",
        description="embedding model: `minilm` (embedded), name or path of a Sentence Transformers model, openai:NAME "
        "or ollama:NAME",
    )
    base_url: Address = Field(None, description="address of the OpenAI-compatible or Ollama server")
    max_tokens: int = Field(
        128, ge=8, description="tokens of a window; a text is read in 8 at most; MiniLM was trained on 128"
    )
    batch_size: int = Field(256, ge=1, description="texts that are embedded and kept together, at most")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the embedded model; auto means bfloat16 where the processor has it"
    )


class EmbedTableParams(EmbedParams):
    """The same for a table that is embedded by itself."""

    static: bool = Field(
        False,
        description="fit a static student on a sample, and have it embed the rest where it agrees with the model; "
        "for 25,000 short texts and more",
    )


class NeighborParams(Section):
    """The one k-nearest-neighbour graph that every tool shares."""

    k: int = Field(15, ge=2, description="neighbours per row, by cosine")
    exact_rows: int = Field(50_000, ge=100, description="above this many rows the graph is approximate")


class ClusterParams(Section):
    """How rows are grouped. Density methods run on ``dimensions`` after ``space``, never on raw embeddings."""

    algorithm: Literal["kmeans", "dbscan", "hdbscan"] = Field("kmeans", description="clustering algorithm")
    k: int | None = Field(None, ge=1, description="k-means: clusters; none means sqrt(rows / 2), from 8 to 1000")
    eps: float | None = Field(None, gt=0, description="DBSCAN: radius; none means the knee of the k-distance curve")
    min_cluster_size: int | None = Field(None, ge=2, description="HDBSCAN and DBSCAN; none means max(10, rows / 500)")
    space: Literal["pca", "umap"] = Field("umap", description="reduction before a density method")
    dimensions: int = Field(10, ge=2, le=50, description="dimensions of that reduction")


SelectionStrategy = Literal[
    "furthest", "closest", "random", "semdedup", "d4", "k_center", "facility_location", "density", "quality",
    "density_quality", "hierarchical", "dsir", "nearest",
]  # fmt: skip


def _portion(value: object) -> object:
    """``10%`` as 0.1; any other number as it is, and a whole one as rows."""
    share = _share(value)
    if share is not value and isinstance(share, float) and not 0 < share <= 1:
        raise ValueError("must be above 0% and at most 100%")
    if isinstance(share, float) and not share.is_integer() and share > 1:
        raise ValueError("must be a share, as in 10% or 0.1, or a whole number of rows")
    return share


class SelectParams(Section):
    """A smaller set from a larger one, by a strategy of the literature."""

    strategy: SelectionStrategy = Field("random", description="which rows stay; docs/selection.md lists them")
    keep: Annotated[float | int, BeforeValidator(_portion)] = Field(
        0.1, gt=0, description="how many rows stay: a share (10% or 0.1) or a number of rows"
    )
    k: int | None = Field(
        None, ge=1, description="clusters, where the table has no column `cluster`; none: as the tool `cluster` has it"
    )
    levels: tuple[int, ...] = Field(
        (), description="hierarchical: clusters of each level, falling, as in [1500, 300, 60]; none: by the rows"
    )
    resampled: int = Field(10, ge=0, description="hierarchical: rounds of resampling on each level but the first")
    target: str | None = Field(
        None, description="dsir: a file of texts; nearest: a table with a `vector` column; what the rows are to be like"
    )


class ReduceParams(Section):
    """The 2-D and 3-D maps."""

    methods: tuple[Literal["pca", "tsne", "umap"], ...] = Field(("pca", "tsne", "umap"), description="maps to draw")
    landmarks: int = Field(4000, ge=100, description="rows t-SNE and UMAP are fitted on; the rest is placed by them")


class ScoreParams(Section):
    """Cluster metrics; samples bound their cost."""

    silhouette_per_cluster: int = Field(50, ge=2, description="rows sampled in each cluster for the silhouette")
    bootstraps: int = Field(5, ge=2, description="bootstrap clusterings for stability (Hennig 2007)")
    bootstrap_rows: int = Field(4000, ge=50, description="rows in each bootstrap")
    dbcv_rows: int = Field(3000, ge=100, description="rows sampled for DBCV (Moulavi et al. 2014)")


class CritiqueParams(Section):
    """The rules critic's thresholds."""

    min_cohesion: float = Field(0.25, description="mean cosine to the centroid below which a cluster is `mixed`")
    min_silhouette: float = Field(-0.02, description="mean silhouette below which a cluster is `mixed`")
    max_near_duplicates: float = Field(0.3, description="share of rows with a neighbour above `semantic.cosine`")
    max_outliers: float = Field(0.2, description="share of sparse rows above which a cluster is `noisy`")
    max_low_quality: float = Field(0.5, description="share of rows near a quality rule's limit: `low_quality`")
    samples: int = Field(5, ge=1, description="medoid, boundary and random rows kept as evidence per cluster")
    max_pairs: int = Field(50, ge=0, le=500, description="pairs of rows a language model is asked `same theme?`")


class ProbeParams(Section):
    """The small models that tell what the kept rows teach."""

    kind: Literal["auto", "labels", "pairs", "text"] = Field(
        "auto", description="what the probes learn; auto: labels where most rows have one, else answers, else text"
    )
    seeds: int = Field(3, ge=1, description="text: trainings on different draws of the same rows")
    max_bytes: int = Field(1_000_000, ge=1000, description="text: bytes each training draws, at most")


class ObjectiveParams(Section):
    """How large a gain must be to pay, and what the quality of a clustering is made of. See docs/objective.md."""

    structure: float = 0.25
    balance: float = 0.1
    stability: float = 0.1
    min_gain: float = Field(0.002, ge=0, description="smallest gain that pays, however small the noise")
    noise_multiplier: float = Field(2.0, ge=0, description="standard errors a gain must exceed, at least")
    price: float = Field(
        0.05,
        ge=0,
        description="what all kept rows are worth: an action that takes a tenth of them must gain a tenth of it",
    )


class CapsParams(Section):
    """Bounds in code that no policy and no model can pass."""

    step_fraction: float = Field(0.35, gt=0, le=1, description="share of the kept rows one action may remove")
    total_fraction: float = Field(0.5, gt=0, le=1, description="share of the cleaned rows all actions may remove")
    synthetic_fraction: float = Field(0.3, ge=0, le=0.5, description="share of the training rows that may be synthetic")
    clean_fraction: float = Field(0.6, gt=0, le=1, description="share of the rows the filters or near-dedup may remove")


class StopParams(Section):
    """When the loop ends."""

    max_rounds: Annotated[int, Option("run")] = Field(8, ge=1, description="rounds at most")
    max_minutes: Annotated[float | None, Option("run")] = Field(
        None, gt=0, description="minutes after which no further round starts"
    )
    patience: int = Field(3, ge=1, description="rounds that must hold still")
    min_rows: int = Field(40, ge=10, description="cleaned rows below which there is nothing to cluster")


def _share(value: object) -> object:
    """``1%`` as 0.01."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            return value
    return value


def _below_one(value: float | None) -> float | None:
    if value is not None and not 0 <= value < 1:
        raise ValueError("must be a share from 0 to below 1, as in 1% or 0.01")
    return value


class OutcomeParams(Section):
    """What a run is to end with, instead of thresholds. Rows go for it when the rounds are over, and no cap binds it.

    How many rows are at fault is not known, but estimated: a row is in doubt where evidence of any kind, as it was last
    gathered, is past its weakest limit. The evidence overlooks faults and doubts good rows.
    """

    keep: Annotated[int | None, Option("run", metavar="ROWS")] = Field(
        None,
        ge=1,
        description="training rows to end with, at most; with --like those nearest to the endorsed rows, else what the "
        "probes like best of some choices and a random one",
    )
    target_noise: Annotated[
        float | None, BeforeValidator(_share), AfterValidator(_below_one), Option("run", metavar="SHARE", text=True)
    ] = Field(
        None,
        description="share of the training rows (1% or 0.01) that the evidence still doubts at the end, at most: an "
        "estimate, which counts no fault that the evidence overlooks; the most suspect go",
    )

    @property
    def asked(self) -> bool:
        """Whether anything is asked for."""
        return self.keep is not None or self.target_noise is not None


class ReviewParams(Section):
    """The rows in doubt, which a person is asked about when the run ends, and what a person has answered."""

    max_rows: int = Field(50, ge=0, description="rows in doubt that are listed when the run ends, at most")
    answers: Annotated[str | None, Option("run", file=True)] = Field(
        None, description="an answered review.csv: rows that a person keeps, removes or labels anew"
    )


class TrainParams(Section):
    """The final language model: a small one (Llama shape) and its tokenizer from scratch, or one that is fine-tuned."""

    enabled: bool = Field(True, description="train and quantise at the end of the run")
    mode: Literal["scratch", "lora", "full"] = Field(
        "scratch", description="a small model from scratch, or `model` fine-tuned: low-rank matrices, or all weights"
    )
    model: str | None = Field(None, description="a folder with the causal language model to fine-tune (safetensors)")
    vocab_size: int = Field(4096, ge=300, description="byte-level BPE tokens")
    hidden_size: int = Field(192, ge=64, description="width; a multiple of 64")
    layers: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    context: int = Field(128, ge=16, description="tokens in a training sequence")
    batch_size: int = Field(4, ge=1, description="sequences per step; small, because the budget is small")
    tokens: int = Field(300_000, ge=1000, description="training budget in tokens")
    epochs: int = Field(
        4, ge=1, description="passes over the text at most; more teach little (Muennighoff et al. 2023)"
    )
    learning_rate: float | None = Field(
        None, gt=0, description="at its peak; by default 0.003 from scratch, 0.0002 for lora, 0.00002 for full"
    )

    @property
    def peak(self) -> float:
        """The learning rate at its peak."""
        usual = {"scratch": 3e-3, "lora": 2e-4, "full": 2e-5}
        return usual[self.mode] if self.learning_rate is None else self.learning_rate


ModelFormat = Literal["nf4", "int8", "f16", "q8_0", "q4_0"]
GGUF_FORMATS = ("f16", "q8_0", "q4_0")


class QuantiseParams(Section):
    """Formats the trained model is exported in, and which of them is the final model."""

    formats: tuple[ModelFormat, ...] = Field(
        ("nf4", "int8", "f16", "q8_0", "q4_0"),
        description="nf4, int8: bitsandbytes, for Transformers; f16, q8_0, q4_0: GGUF, for llama.cpp and Ollama",
    )
    to: Literal["auto", "dense"] | ModelFormat = Field(
        "auto", description="the final model: one of the formats, or the smallest that stays within max_loss"
    )
    max_loss: float = Field(
        0.02, ge=0, description="what the final model may add to the held-out perplexity, relative to the dense one"
    )


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
    """Domain, tags and difficulty of every row: by rules, then zero-shot, then a language model."""

    taxonomy: Annotated[str | None, Option("model", file=True)] = Field(
        None, description="a YAML file with domains, tags and difficulties; none: no labels"
    )
    nli_model: str | None = Field(
        None, description="any NLI model of transformers, by name or path; none: step left out"
    )
    min_margin: float = Field(
        0.2, ge=0, le=1, description="zero-shot: lead over the second class below which it is unsure"
    )
    max_model_rows: int = Field(500, ge=0, description="unsure rows the language model labels, at most")


Backend = Annotated[Literal["auto", "rules", "llm"], Option("model")]


class Config(Section):
    """Everything that decides a run; its hash stands in every event."""

    seed: Annotated[int, Option("run")] = Field(0, ge=0, description="the one seed every random choice derives from")
    policy: Backend = Field("auto", description="who decides; auto: the language model, if any")
    critic: Backend = Field("auto", description="who critiques; auto: the language model, if any")
    approve: bool = Field(False, description="a person approves every action (chat)")
    ablate: Annotated[bool, Option("run")] = Field(
        False, description="measure the probe with and without each stage of the first separation"
    )
    llm: LlmParams = LlmParams()
    load: LoadParams = LoadParams()
    scrub: ScrubParams = ScrubParams()
    clean: CleanParams = CleanParams()
    language: LanguageParams = LanguageParams()
    filter: FilterParams = FilterParams()
    dedup: DedupParams = DedupParams()
    decontaminate: DecontaminateParams = DecontaminateParams()
    anchor: AnchorParams = AnchorParams()
    sealed: SealedParams = SealedParams()
    embed: EmbedParams = EmbedParams()
    neighbors: NeighborParams = NeighborParams()
    cluster: ClusterParams = ClusterParams()
    reduce: ReduceParams = ReduceParams()
    score: ScoreParams = ScoreParams()
    semantic: SemanticParams = SemanticParams()
    critique: CritiqueParams = CritiqueParams()
    probe: ProbeParams = ProbeParams()
    objective: ObjectiveParams = ObjectiveParams()
    caps: CapsParams = CapsParams()
    stop: StopParams = StopParams()
    synthesis: SynthesisParams = SynthesisParams()
    quality: QualityParams = QualityParams()
    label: LabelParams = LabelParams()
    outcome: OutcomeParams = OutcomeParams()
    review: ReviewParams = ReviewParams()
    train: TrainParams = TrainParams()
    quantise: QuantiseParams = QuantiseParams()

    @model_validator(mode="after")
    def _a_named_model_is_configured(self) -> Config:
        for name in ("policy", "critic"):
            if getattr(self, name) == "llm" and self.llm.model is None:
                raise PydanticCustomError(LACKS_MODEL, "llm needs a model", {"key": name})
        return self

    @model_validator(mode="after")
    def _enough_rows_are_kept(self) -> Config:
        if self.outcome.keep is not None and self.outcome.keep < self.stop.min_rows:
            said = f"must be at least stop.min_rows, {self.stop.min_rows}: ask for more rows, or set that lower"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": "outcome.keep", "said": said})
        return self

    @model_validator(mode="after")
    def _what_is_fine_tuned_is_named(self) -> Config:
        if (self.train.mode == "scratch") != (self.train.model is None):
            needs = "needs train.mode=lora or full" if self.train.model else "needs train.model, a model's folder"
            key = "train.model" if self.train.model else "train.mode"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": key, "said": needs})
        return self

    @model_validator(mode="after")
    def _the_final_format_is_exported(self) -> Config:
        if self.quantise.to not in ("auto", "dense", *self.quantise.formats):
            said = f"must be auto, dense or one of quantise.formats, which lacks {self.quantise.to}"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": "quantise.to", "said": said})
        return self

    def backend(self, role: Literal["policy", "critic"]) -> Literal["rules", "llm"]:
        """Who decides or critiques once ``auto`` is settled."""
        chosen: Literal["auto", "rules", "llm"] = getattr(self, role)
        if chosen == "auto":
            return "rules" if self.llm.model is None else "llm"
        return chosen
