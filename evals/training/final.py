"""The final model at a size that says something: a Llama of some twenty million parameters, each format that it is
exported in, and each way to a smaller one."""

import fcntl
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, get_args

import numpy as np
import orjson
import polars as pl

from ...state.params.final_model import GGUF_FORMATS, ModelFormat, TrainParams
from ...state.phrases import silent
from ...state.store import write_whole
from ...tools.model.checkpoint import GGUF_NAME, is_gguf, load_model, quiet, save_model
from ...tools.model.finetune import encode_as
from ...tools.model.perplexity import evaluate
from ...tools.model.prune import RECOVERY, pruned
from ...tools.model.quantise import export
from ...tools.model.train import train
from ..data import existing
from ..experiment import Experiment, Finished, Measure, Record
from ..table import Cell, Table
from .sources import grouped, newsgroups20

DENSE = "dense"
PRUNED = ("layers", "heads", "weights")  # half of them taken out
STUDENT, ALONE = "student", "as small, alone"
SMALLER = (*PRUNED, STUDENT, ALONE)
FORMATS: tuple[str, ...] = get_args(ModelFormat)
_HELD_OUT = 32_768  # tokens that every model is measured on
_PARAGRAPH = 80  # characters of a line of an article that is a paragraph
_POSTINGS = 400  # groups of postings that are held out: more than are read
_HEAD = 64  # width of an attention head
_TRAINED, _LIKELIEST = "trained.json", "likeliest.npy"
# What a format makes of the matrices of a float32 model, by its own arithmetic.
_EXPECTED = {"nf4": "1/7", "int8": "1/4", "int2": "1/14", "f16": "1/2", "q8_0": "1/4", "q4_0": "1/7"}


@dataclass(frozen=True)
class FinalPlan:
    """What is measured: the dense model, its formats and the smaller ones.

    ``tokens``: what the dense model is trained on; ``width`` and ``layers`` are its shape.
    """

    tokens: int = 1_200_000
    width: int = 448
    layers: int = 8

    def cells(self) -> list["FinalCell"]:
        """The dense model first: the others are made of it."""
        made = (DENSE, *FORMATS, *SMALLER)
        return [FinalCell(one, self.tokens, self.width, self.layers) for one in made]


@dataclass(frozen=True)
class FinalCell:
    """One model, by how it is made."""

    made: str
    tokens: int
    width: int
    layers: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return self.made.replace(", ", "-").replace(" ", "-")

    def params(self, **changes: Any) -> TrainParams:
        """How the dense model is trained, but for the ``changes``."""
        usual = TrainParams(
            vocab_size=4096,
            hidden_size=self.width,
            layers=self.layers,
            heads=self.width // _HEAD,
            batch_size=8,
            tokens=self.tokens,
            learning_rate=1e-3,
        )
        return usual.model_copy(update=changes)

    def small(self, **changes: Any) -> TrainParams:
        """How the student is trained: at four sevenths of the width, half the layers and a quarter of the tokens."""
        width = self.width * 4 // 7 // _HEAD * _HEAD or _HEAD
        sizes = {"hidden_size": width, "layers": self.layers // 2, "heads": width // _HEAD}
        return self.params(**sizes, tokens=self.tokens // 4, learning_rate=2e-3, **changes)


@dataclass(frozen=True)
class _Texts:
    """Texts to train on, and texts that are held out: of both sets by turns, each in random order."""

    train: list[str]
    held_out: list[str]


def texts_of(data: Path) -> _Texts:
    """Paragraphs of encyclopaedia articles (Merity et al. 2016: of the valid split to train on, of the test split held
    out) and what the authors of postings wrote (Lang 1995), none of them a near-duplicate of another."""
    valid, test = (_paragraphs(data, part) for part in ("valid", "test"))
    postings = newsgroups20(data).filter(pl.col("clean").is_not_null() & pl.col("group").is_first_distinct())
    own = postings["clean"].gather(np.random.default_rng(0).permutation(postings.height)).to_list()
    apart, others = _by_turns(test, own[:_POSTINGS]), _by_turns(valid, own[_POSTINGS:])
    both = grouped(pl.DataFrame({"text": [*apart, *others]})).with_row_index("at")
    both = both.filter(pl.col("at") == pl.col("group"))  # of two alike the first stays
    later = pl.col("at") >= len(apart)
    return _Texts(both.filter(later)["text"].to_list(), both.filter(~later)["text"].to_list())


def _by_turns(*lists: list[str]) -> list[str]:
    """The texts of several lists, one of each in turn while it has any."""
    return [text for text in chain.from_iterable(zip_longest(*lists)) if text is not None]


def _paragraphs(data: Path, part: str) -> list[str]:
    lines = existing(data, f"wikitext2/wikitext2_{part}.txt").read_text(encoding="utf-8").splitlines()
    found = [line.strip() for line in lines if not line.strip().startswith("=") and len(line.strip()) >= _PARAGRAPH]
    return [found[at] for at in np.random.default_rng(0).permutation(len(found)).tolist()]


def _bench(data: Path, folder: Path) -> Measure[FinalCell]:
    texts = lru_cache(maxsize=1)(partial(texts_of, data))

    def measured(cell: FinalCell, at: Path) -> Record:
        found = evaluate(at / "model", texts().held_out, cell.params().context, _HELD_OUT)
        np.save(at / _LIKELIEST, found.likeliest)
        return {
            "perplexity": found.perplexity,
            "bits_per_byte": found.bits_per_byte,
            "size_bytes": found.size_bytes,
            "memory_bytes": found.memory_bytes,
            "matrix_bytes": matrix_bytes(at / "model"),
            "tokens_per_second": found.tokens_per_second,
        }

    def dense(cell: FinalCell, at: Path) -> Record:
        """Trained by one process while others wait for it; read back by them."""
        at.mkdir(parents=True, exist_ok=True)
        with (at / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (at / _TRAINED).exists():
                made = train(texts().train, cell.params(), at / "model", seed=0)
                told = {"parameters": made.parameters, "epochs": made.epochs, "losses": list(made.losses)}
                write_whole(at / _TRAINED, orjson.dumps({**told, **measured(cell, at)}))
        record: Record = orjson.loads((at / _TRAINED).read_bytes())
        return record

    def measure(cell: FinalCell, at: Path) -> Record:
        base = folder / DENSE
        trained = dense(cell, base)
        if cell.made == DENSE:
            return trained
        if cell.made in FORMATS:
            export(base / "model", cell.made, at / "model")  # type: ignore[arg-type]
        elif cell.made in PRUNED:
            _prune(base / "model", texts().train, cell, at / "model")
        else:
            teacher = str(base / "model") if cell.made == STUDENT else None  # the other's tokenizer comes out the same
            train(texts().train, cell.small(distil_from=teacher), at / "model", seed=0)
        record = measured(cell, at)
        agreement = float((np.load(at / _LIKELIEST) == np.load(base / _LIKELIEST)).mean())
        return {**record, "agreement": agreement}

    return measure


def _prune(dense: Path, texts: list[str], cell: FinalCell, out: Path) -> None:
    """Half of the dense model's layers, heads or weights taken out, and the rest trained again."""
    import torch

    params = cell.params(prune=cell.made)
    with quiet(), torch.random.fork_rng(devices=[]):
        model, tokenizer = load_model(dense, dtype=torch.float32)
        left = pruned(model, tokenizer, encode_as(tokenizer, dense, texts, params), params, out, 0, silent)
        save_model(left, tokenizer, out)


def matrix_bytes(model: Path) -> int:
    """What the matrices in the layers of a saved model take on disk, with all that is needed to read them."""
    if is_gguf(model):
        import gguf

        tensors = gguf.GGUFReader(model / GGUF_NAME).tensors
        return sum(int(one.n_bytes) for one in tensors if one.name.startswith("blk.") and "norm" not in one.name)
    from safetensors import safe_open

    size = 0
    for path in model.glob("*.safetensors"):
        with safe_open(path, "pt") as saved:
            names = [name for name in saved.keys() if ".layers." in name and "norm" not in name]  # noqa: SIM118
            size += sum(saved.get_tensor(name).nbytes for name in names)
    return size


def _tables(records: Finished[FinalCell], plan: FinalPlan, command: str) -> list[Table]:
    dense = records[0][1]
    rows: list[tuple[Cell, ...]] = []
    for cell, record in records:
        of_matrices, speed = (record[key] / dense[key] for key in ("matrix_bytes", "tokens_per_second"))
        rows.append(
            (
                cell.made,
                round(record["size_bytes"] / 1e6, 2),
                round(100 * record["size_bytes"] / dense["size_bytes"], 1),
                round(100 * of_matrices, 1),
                _EXPECTED.get(cell.made),
                round(record["memory_bytes"] / 1e6, 2),
                round(record["perplexity"], 2),
                round(100 * (record["perplexity"] / dense["perplexity"] - 1), 2),
                None if cell.made == DENSE else round(100 * record["agreement"], 1),
                None if cell.made in GGUF_FORMATS else round(speed, 2),
            )
        )
    notes = (
        f"A Llama of {dense['parameters']:,} parameters, trained on {plan.tokens:,} tokens ({dense['epochs']} passes "
        f"over what of the texts was read), measured on {_HELD_OUT:,} tokens of others. Size: of the file in per cent "
        "of the dense one, and of the matrices in the layers alone, beside what the format's arithmetic says. Change: "
        "of the perplexity. Same: at how many of the tokens it takes the same for the next. Speed: tokens read in a "
        "second by Transformers, beside the dense model.",
        "Layers, heads, weights: half of them taken out (of weights: made zero), and the rest taught by the dense "
        f"model on {plan.tokens // RECOVERY:,} tokens. Student: a smaller Llama that is taught by the dense one on "
        f"{plan.tokens // 4:,} tokens; alone: the same one without a teacher.",
    )
    sizes = ("MB", "size %", "matrices %", "expected", "memory MB")
    columns = ("model", *sizes, "perplexity", "change %", "same %", "speed")
    return [Table("The final model", columns, tuple(rows), notes, command)]


#: Trains the dense model, and makes and measures each other one of it.
EXPERIMENT = Experiment[FinalPlan, FinalCell]("final-model", _bench, _tables)
