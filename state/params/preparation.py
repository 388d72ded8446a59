"""The configuration of the first separation: what is read, and what is taken out before the loop begins."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from .section import Option, Section

OFF = "off"  # what a rule's threshold is set to where the rule is not to hold
PROFILES = Literal["auto", "prose", "web", "instruction", "chat", "short", "notes", "code", "none"]


Column = Annotated[str | None, Option("data")]
#: Names; a single one need not stand in a list.
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class LoadParams(Section):
    """What to read and which columns mean what; ``None`` means *recognise it*."""

    text_column: Column = Field(None, description="column that holds the text; none: it is recognised")
    id_column: Column = Field(None, description="column that holds a stable id; otherwise ids come from content")
    label_column: Column = Field(None, description="column that holds a class label; the probe learns it")
    source_column: Column = Field(None, description="column that names where a row came from; guarded by the caps")
    group_column: Column = Field(
        None, description="column whose equal values are held out together; otherwise a conversation's or document's id"
    )
    content_columns: Annotated[Names, Option("data", metavar="NAMES")] = Field(
        (), description="columns by which rows differ, as in [question, answer]; none: all but ids, times, scores, …"
    )
    vector_column: Column = Field(None, description="column of ready-made vectors, used instead of embedding text")
    limit: Annotated[int | None, Option("run")] = Field(None, ge=1, description="read at most this many rows")
    missing_text: Literal["remove", "stop"] = Field(
        "remove", description="rows without text: removed, or the run stops"
    )
    missing_label: Literal["keep", "remove"] = Field("keep", description="rows without label: kept outside the probe")
    max_line_mb: int = Field(16, ge=1, description="a longer line is quarantined, never held in memory")
    batch_rows: int = Field(8192, ge=1, description="rows read at a time")

    @property
    def readable(self) -> bool:
        """Whether rows have a text to read: beside vectors of the user's own only where its column is named."""
        return self.vector_column is None or self.text_column is not None


class CleanParams(Section):
    """Text normalisation; the original columns are never touched."""

    unicode_form: Literal["NFC", "NFKC", "none"] = Field("NFC", description="Unicode normal form")


class LanguageParams(Section):
    """Which languages stay. Identified by fastText's lid.176.ftz (Joulin et al. 2016), which ships in its package."""

    keep: Names = Field((), description="ISO 639 codes that stay, as in [en, de]; none: all stay, counted")
    min_score: float = Field(0.65, ge=0, le=1, description="below it the language is unknown (FineWeb's threshold)")


class FilterParams(Section):
    """Quality rules. They mark rows; in a run they take out none but those of the rules that are named."""

    profile: Annotated[PROFILES, Option("data")] = Field(
        "auto", description="kind of text; auto: by what the rows are; notes: clippings of one text are merged, too"
    )
    apply: Annotated[Names, Option("data", metavar="NAMES")] = Field(
        (),
        description="what may take rows out: a rule (gopher.min_stop_words), a family (gopher), near_duplicate, "
        "language, all; none: rows are marked only",
    )
    thresholds: dict[str, float | None] = Field(
        default_factory=dict,
        description="rule (gopher.max_symbol_ratio) to threshold, over the profile's; off switches a rule off",
    )

    @property
    def is_notes(self) -> bool:
        """Whether the rows are notes: clippings of one text are merged, and what stays is written as Markdown, too."""
        return self.profile == "notes"

    @field_validator("thresholds", mode="before")
    @classmethod
    def _by_family(cls, value: Any) -> Any:
        """``gopher: {max_symbol_ratio: 0.05}`` says the same as ``gopher.max_symbol_ratio: 0.05``, ``off`` as null."""
        if not isinstance(value, dict):
            return value
        flat = {rule: None if limit is False or limit == OFF else limit for rule, limit in _flat(value)}
        if wrong := [rule for rule, limit in flat.items() if limit is True or limit in ("on", "yes", "no")]:
            raise ValueError(f"{wrong[0]} needs a number, or off")
        return flat


def _flat(values: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", held) for inner, held in _flat(value))
        else:
            yield str(name), value


class DedupParams(Section):
    """Near-duplicates by MinHash (Broder 1997) and banded LSH, verified by true Jaccard."""

    threshold: float = Field(0.8, gt=0, le=1, description="Jaccard similarity from which two rows are near-duplicates")
    ngram_size: int = Field(5, ge=1, description="words in a shingle")
    num_perm: int = Field(128, ge=16, description="hash permutations in a signature")
    which_to_keep: Literal["commonest", "first", "longest", "best_quality"] | None = Field(
        None,
        description="the row of a group that stays: unless it is said, in a run the one whose pairs of words are the "
        "commonest in the set, in a table the first",
    )
    against: Annotated[Names, Option("data", "accepted", "FILE", file=True)] = Field(
        (), description="files whose rows are in the corpus already; repeats of them go, exact and near"
    )
    target_rows: int | None = Field(
        None, ge=1, description="remove the likest rows first, until so many are left or the threshold is reached"
    )


WhichToKeep = Literal["first", "longest", "best_quality", "nearest", "furthest"]


class SemanticParams(Section):
    """Rows that say the same in other words: neighbours above a cosine (SemDeDup, Abbas et al. 2023)."""

    cosine: float = Field(0.95, gt=0, le=1, description="cosine from which two rows say the same")
    which_to_keep: WhichToKeep = Field(
        "furthest", description="the row of a group that stays; nearest and furthest: from the cluster's centroid"
    )
    target_rows: int | None = Field(
        None, ge=1, description="remove the likest rows first, until so many are left or the cosine is reached"
    )


class DecontaminateParams(Section):
    """Rows that hold a benchmark's text: n-gram overlap (Brown et al. 2020, appendix C)."""

    against: Names = Field((), description="benchmark files; rows that share an n-gram with them go")
    ngram_size: int | None = Field(None, ge=2, description="words that must stand in both; none: 13, for spans 8")
    method: Literal["ngram", "longest_span"] = Field(
        "ngram", description="ngram: any shared n-gram; longest_span: the longest run of them (ConTAM)"
    )
    min_coverage: float = Field(0.5, gt=0, le=1, description="longest_span: share of the benchmark text it must cover")


class ScrubParams(Section):
    """Personal data and secrets, each replaced by its kind in every text that is read. Off unless a kind is named."""

    kinds: tuple[Literal["email", "phone", "secret"], ...] = Field((), description="what is taken out of the text")
    phone_region: str = Field("US", description="whose phone numbers are known without a country code")


class AnchorParams(Section):
    """The held-out rows that measure every action and that no selecting tool sees."""

    fraction: float = Field(0.2, gt=0, lt=0.5, description="share of the cleaned rows held out")
    max_rows: int = Field(2000, ge=10, description="at most this many rows")


class SealedParams(Section):
    """The rows that nothing looks at until the rounds are over; they give the number on the card."""

    fraction: float = Field(0.1, ge=0, lt=0.3, description="share of the cleaned rows that is sealed; 0: none")
    max_rows: int = Field(1000, ge=1, description="at most this many rows")
    min_rows: int = Field(100, ge=2, description="fewer say too little: then none is sealed")
