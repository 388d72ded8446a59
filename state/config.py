"""The configuration of a run, section by section (``params``). ``settings`` reads it from files and options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from .canonical import sha256_json
from .params.final_model import QuantiseParams, TrainParams
from .params.llm import LabelParams, LlmParams, QualityParams, SynthesisParams
from .params.preparation import (
    AnchorParams,
    CleanParams,
    DecontaminateParams,
    DedupParams,
    FilterParams,
    LanguageParams,
    LoadParams,
    ScrubParams,
    SealedParams,
    SemanticParams,
)
from .params.rounds import CapsParams, CritiqueParams, ObjectiveParams, ProbeParams, ReviewParams, StopParams
from .params.section import Option, Section
from .params.selection import OutcomeParams
from .params.vectors import ClusterParams, EmbedParams, NeighborParams, ReduceParams, ScoreParams

LACKS_MODEL = "lacks_model"  # the type of an error: a key stands for nothing without llm.model
AT_ODDS = "at_odds"  # the type of an error: a key is at odds with another

FEWEST_NOTES = 10

Backend = Annotated[Literal["auto", "rules", "llm"], Option("model")]


class Config(Section):
    """Everything that decides a run; the hash of what a run has of it in writing stands in every event."""

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
    def _strategies_choose_a_number_of_rows(self) -> Config:
        if self.outcome.strategies and self.outcome.keep is None:
            said = "needs outcome.keep (--keep ROWS): how many rows a strategy is to choose"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": "outcome.strategies", "said": said})
        return self

    @model_validator(mode="after")
    def _what_is_fine_tuned_is_named(self) -> Config:
        if (self.train.mode in ("scratch", "classifier")) != (self.train.model is None):
            needs = "needs train.mode=lora or full" if self.train.model else "needs train.model, a model's folder"
            key = "train.model" if self.train.model else "train.mode"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": key, "said": needs})
        if self.train.distil_from is not None and self.train.mode != "scratch":
            said = f"is for train.mode=scratch: with {self.train.mode} leave it out"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": "train.distil_from", "said": said})
        return self

    @model_validator(mode="after")
    def _what_has_a_part_in_the_training(self) -> Config:
        if self.train.classifier is not None and self.train.mode != "classifier":
            said = "needs train.mode=classifier"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": "train.classifier", "said": said})
        default = TrainParams()
        for key, asked in (("train.baseline", self.train.baseline), ("train.prune", self.train.prune != default.prune)):
            if self.train.mode == "classifier" and asked:
                said = "is for language models: with train.mode=classifier leave it out"
                raise PydanticCustomError(AT_ODDS, "{said}", {"key": key, "said": said})
        if self.train.model is None and self.train.chat_template != default.chat_template:
            said = "needs train.mode=lora or full"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": "train.chat_template", "said": said})
        if self.train.prune == "none" and self.train.prune_share != default.prune_share:
            said = "needs train.prune: layers, heads or weights"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": "train.prune_share", "said": said})
        return self

    @model_validator(mode="after")
    def _the_final_format_is_exported(self) -> Config:
        if self.quantise.to not in ("auto", "dense", *self.quantise.formats):
            said = f"must be auto, dense or one of quantise.formats, which lacks {self.quantise.to}"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": "quantise.to", "said": said})
        return self

    @model_validator(mode="after")
    def _notes_are_merged_by_their_own_rules(self) -> Config:
        default = DedupParams()
        ruled = [key for key in ("target_rows", "which_to_keep") if getattr(self.dedup, key) != getattr(default, key)]
        if self.filter.is_notes and ruled:
            said = "has no part in merging notes: the most complete one stays; leave it out, or take another profile"
            raise PydanticCustomError(AT_ODDS, "{said}", {"key": f"dedup.{ruled[0]}", "said": said})
        return self

    @property
    def least_rows(self) -> int:
        """Cleaned rows below which a run ends; so few notes are merged and sorted all the same."""
        default: int = StopParams.model_fields["min_rows"].default
        return FEWEST_NOTES if self.filter.is_notes and self.stop.min_rows == default else self.stop.min_rows

    def written(self) -> dict[str, Any]:
        """The settings that this was read from, as JSON values: without those that only a later build knows."""
        return self.model_dump(mode="json", exclude_unset=True)

    def unwritten(self) -> dict[str, Any]:
        """By key (``section.key``), the values of all other settings: the defaults of this build."""
        whole = self.model_dump(mode="json")
        values: dict[str, Any] = {}
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, Section):
                added = [key for key in type(section).model_fields if key not in section.model_fields_set]
                values |= {f"{name}.{key}": whole[name][key] for key in added}
            elif name not in self.model_fields_set:
                values[name] = whole[name]
        return values

    def sha(self) -> str:
        """Hash of the settings as ``run.yaml`` has them: a build with more of them finds the same."""
        return sha256_json(self.written())

    def backend(self, role: Literal["policy", "critic"]) -> Literal["rules", "llm"]:
        """Who decides or critiques once ``auto`` is settled."""
        chosen: Literal["auto", "rules", "llm"] = getattr(self, role)
        if chosen == "auto":
            return "rules" if self.llm.model is None else "llm"
        return chosen
