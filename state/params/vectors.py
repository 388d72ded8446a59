"""The configuration of what is made of texts: vectors, neighbours, clusters, maps and their measures."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from .section import Address, Option, Section


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
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto", description="of the embedded model; auto means bfloat16 where the processor has it, else float32"
    )
    dimensions: Literal["auto"] | int | None = Field(
        None,
        description="lay vectors along so many principal axes of the rows; auto: as few as keep `recall`; none means "
        "all dimensions",
    )
    recall: float = Field(
        0.95,
        gt=0,
        le=1,
        description="with `dimensions: auto`, the share of the ten nearest neighbours that shorter vectors must find",
    )

    @field_validator("dimensions", mode="before")
    @classmethod
    def _auto_or_two(cls, value: object) -> object:
        if value in (None, "auto") or (type(value) is int and value >= 2):
            return value
        raise ValueError("must be `auto`, or a whole number from 2 on")


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
