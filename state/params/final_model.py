"""The configuration of the final language model: how it is trained, and in which formats it is exported."""

from typing import Literal

from pydantic import Field

from .section import Section


class TrainParams(Section):
    """The final model: a small language model (Llama shape) and its tokenizer from scratch, one that is fine-tuned, or
    a classifier."""

    enabled: bool = Field(True, description="train and quantise at the end of the run")
    mode: Literal["scratch", "lora", "full", "classifier"] = Field(
        "scratch",
        description="a small model from scratch; `model` fine-tuned, by low-rank matrices (lora) or all weights "
        "(full); or a classifier of the labels",
    )
    classifier: Literal["encoder", "head", "distilled"] | None = Field(
        None,
        description="the embedded model fine-tuned (what train.mode=classifier is by default), a head on it as it is, "
        "or a small student of the first",
    )
    model: str | None = Field(None, description="a folder with the causal language model to fine-tune (safetensors)")
    distil_from: str | None = Field(
        None, description="a folder with a causal language model that one from scratch learns from, with its tokenizer"
    )
    prune: Literal["none", "layers", "heads", "weights"] = Field(
        "none", description="what is taken out of the trained model, which then learns again from what it was"
    )
    prune_share: float = Field(0.5, gt=0, lt=1, description="the share of them that is taken out")
    chat_template: Literal["auto", "never"] = Field(
        "auto",
        description="lora, full: whether pairs and chats are spelt by the chat template of `model`, if it has one",
    )
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
        None,
        gt=0,
        description="at its peak; by default 0.003 from scratch, 0.0002 for lora, 0.00002 for full, 0.0001 for a "
        "classifier",
    )
    baseline: bool = Field(
        False, description="train the same model on the crude rows, too, to measure it beside the final one; not kept"
    )

    @property
    def begins_from(self) -> str | None:
        """The folder of the model that is fine-tuned or learned from; None: there is none."""
        return self.model or self.distil_from

    @property
    def kind(self) -> Literal["encoder", "head", "distilled"]:
        """Which classifier."""
        return self.classifier or "encoder"

    @property
    def peak(self) -> float:
        """The learning rate at its peak."""
        usual = {"scratch": 3e-3, "lora": 2e-4, "full": 2e-5, "classifier": 1e-4}
        return usual[self.mode] if self.learning_rate is None else self.learning_rate


ModelFormat = Literal["nf4", "int8", "int2", "f16", "q8_0", "q4_0"]


GGUF_FORMATS = ("f16", "q8_0", "q4_0")


class QuantiseParams(Section):
    """Formats the trained model is exported in, and which of them is the final model."""

    formats: tuple[ModelFormat, ...] = Field(
        ("nf4", "int8", "f16", "q8_0", "q4_0"),
        description="nf4, int8: bitsandbytes, for Transformers; int2: a small file, read by Recryst alone; "
        "f16, q8_0, q4_0: GGUF, for llama.cpp and Ollama",
    )
    to: Literal["auto", "dense"] | ModelFormat = Field(
        "auto", description="the final model: one of the formats, or the smallest that stays within max_loss"
    )
    max_loss: float = Field(
        0.02, ge=0, description="what the final model may add to the held-out perplexity, relative to the dense one"
    )
