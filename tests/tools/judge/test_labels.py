"""The taxonomy file, labels by rules and by zero-shot, and the folders that a labelled set is written to."""

import os
import pickle
import shutil
from dataclasses import asdict

import numpy as np
import polars as pl
import pyarrow.dataset
import pytest

from recryst.state.errors import InputError, StorageError
from recryst.state.rows import hold_out, new_ledger
from recryst.tools.judge.labels import by_rules, filled_in, label_table, unsure, usable, zero_shot
from recryst.tools.judge.taxonomy import Entry, Taxonomy, read_taxonomy, taxonomy_of
from recryst.tools.write.export import Curated, content_sha256, export

FILE = """
domains:
  cards:
    description: payment cards, their delivery and their use
    keywords: [card, PIN, "chip and pin", c++]
  money transfers:
    description: sending and receiving money
    keywords: [transfer, "卡"]
tags:
  complaint: {description: the writer is not content, keywords: [unacceptable, angry]}
  question: {description: something is asked, keywords: ["?"]}
difficulties:
  easy: {description: one fact answers it, keywords: [when]}
  hard: {description: somebody has to look into the account}
"""


@pytest.fixture
def taxonomy(tmp_path):
    path = tmp_path / "taxonomy.yaml"
    path.write_text(FILE)
    return read_taxonomy(path)


def test_a_taxonomy_comes_back_from_its_plain_form(taxonomy):
    assert [entry.name for entry in taxonomy.domains] == ["cards", "money transfers"]
    assert taxonomy.difficulties[1].keywords == ()
    assert taxonomy_of(asdict(taxonomy)) == taxonomy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("domain: {a: {description: x}}", "unknown key 'domain'"),
        ("domains: [a, b]", "must hold names"),
        ("domains: {a: {description: x}}", "a choice needs two"),
        ("domains: {a: {description: x}, A: {description: y}}", "in case only"),
        ("domains: {a: {description: x}, a: {description: y}}", "'a' stands twice"),
        ("tags: {yes: {description: x}}", "put it in quotes"),
        ("tags: {a: {description: ''}}", "needs a description"),
        ("tags: {a: {description: x, keyword: [y]}}", "nothing else"),
        ("tags: {a: {description: x, keywords: [1]}}", "put numbers in quotes"),
        ("tags: {unlabelled: {description: x}}", "choose another name"),
        (f"tags: {{{'a' * 61}: {{description: x}}}}", "printable characters"),
        (f"tags: {{{'語' * 60}: {{description: x}}}}", "printable characters"),
        ('tags: {"a\\nb": {description: x}}', "printable characters"),
        ('tags: {"a\\u202eb": {description: x}}', "printable characters"),
        ("a: &a [x, x]\nb: [*a, *a]", "aliases"),
        ("tags: {a: !!python/object/apply:os.system ['true']}", "not valid YAML"),
        ("{}", "names nothing"),
        ("[" * 5000, "not valid YAML"),
        ("x" * 1_000_001, "larger than a taxonomy"),
        ("just text", "must hold"),
    ],
)
def test_a_taxonomy_that_is_not_one_is_refused_in_a_sentence(tmp_path, text, said):
    path = tmp_path / "taxonomy.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as raised:
        read_taxonomy(path)
    assert len(str(raised.value)) < 600


def test_rules_label_whole_words_and_leave_open_what_is_not_clear(taxonomy):
    text = pl.Series(
        [
            "When does my CARD come? card",  # two hits
            "Is C++ a card?",
            "Discard the carding",  # parts of longer words
            "card transfer",  # one each
            "transfer transfer card",
            "chip  and\nPIN",  # with other white space, and counted once though PIN stands in it
            "我的卡在哪里",  # no spaces between words
            None,
        ]
    )
    labels = by_rules(text, taxonomy)
    transfers = "money transfers"
    assert labels["domain"].to_list() == ["cards", "cards", None, None, transfers, "cards", transfers, None]
    assert labels["difficulty"].to_list() == ["easy", *[None] * 7]
    assert labels["tags"].to_list() == [["question"], ["question"], *[[]] * 6]
    assert labels["domain_by"].to_list() == ["rules", "rules", None, None, "rules", "rules", "rules", None]
    assert labels["tags_by"].to_list() == ["rules", "rules", *[None] * 6]
    assert labels["difficulty_by"].to_list() == ["rules", *[None] * 7]
    assert unsure(labels, taxonomy).tolist() == [False, *[True] * 7]


def test_a_later_labeller_fills_in_and_overrides_nothing(taxonomy):
    labels = by_rules(pl.Series(["card", "?", "nothing"]), taxonomy)
    more = label_table([("money transfers", ["complaint"], "hard"), ("cards", ["complaint"], None)], "model")
    filled = filled_in(labels, np.array([0, 1]), more)
    assert filled.rows() == [
        ("cards", "rules", ["complaint"], "model", "hard", "model"),
        ("cards", "model", ["question"], "rules", None, None),
        (None, None, [], None, None, None),
    ]


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    """A tiny NLI model with random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("nli")
    words = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "card", "text", "is"])}
    tokeniser = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokeniser.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokeniser, **special).save_pretrained(folder)
    labels = {"contradiction": 0, "neutral": 1, "entailment": 2}
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=40, label2id=labels, id2label={at: name for name, at in labels.items()},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder, safe_serialization=True)
    return folder


def test_zero_shot_labels_every_row_or_says_it_is_unsure(nli, taxonomy):
    text = pl.Series(
        ["card " * 300, "where is my card", "", None, *["text"] * 20]
    )  # the first is longer than it can read
    sure = zero_shot(text, taxonomy, str(nli), 0.0)
    assert sure.height == 24
    assert sure["domain"].is_in(["cards", "money transfers"]).sum() >= 22
    assert sure["tags"].explode().drop_nulls().is_in(["complaint", "question"]).all()
    assert set(sure["domain_by"].drop_nulls()) == {"zero_shot"}
    assert zero_shot(text, taxonomy, str(nli), 1.0)["domain_by"].null_count() == 24
    assert zero_shot(text[:1], taxonomy, str(nli), 0.0).height == 1


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (None, r"there is no folder '.*model'"),
        ((), "cannot use the model .* there are no weights in safetensors"),
        (("config.json",), "pytorch_model.bin may hold a program and is not opened: save the model as safetensors"),
        (("config.json", "model.safetensors"), "it has no vocabulary"),
    ],
)
def test_a_model_that_is_none_is_refused_in_a_sentence_that_says_what_to_do(nli, tmp_path, left, said):
    folder = tmp_path / "model"
    if left is not None:
        folder.mkdir()
        for name in left:
            shutil.copy(nli / name, folder)
        if left == ("config.json",):
            (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match=said) as raised:
        usable(str(folder))
    assert str(raised.value).startswith("label.nli_model: ")
    assert "name an NLI model in safetensors, by its folder or its name on the hub, or none" in str(raised.value)
    assert "\n" not in str(raised.value)


def labelled(domains, difficulties=None, **columns):
    """A ledger of kept rows, half of them held out, with originals, text, clusters and labels."""
    n = len(domains)
    rows = pl.Series("row", range(n), dtype=pl.UInt32)
    ledger = hold_out(new_ledger(pl.Series([f"r{at}" for at in range(n)]), 0), np.arange(1, n, 2), 1)
    clusters = pl.DataFrame({"row": rows, "cluster": pl.Series([0] * n, dtype=pl.Int32)})
    labels = label_table([(d, ["t"], h) for d, h in zip(domains, difficulties or [None] * n, strict=True)], "rules")
    originals = pl.DataFrame({"row": rows, "text": [f"text {at}" for at in range(n)], **columns})
    return originals, ledger, originals["text"], clusters, labels.insert_column(0, rows)


def written(folder, originals, ledger, text, clusters, labels):
    originals.write_parquet(folder / "originals.parquet")
    return export(Curated(folder / "originals.parquet", ledger, text, clusters, labels), folder / "curated")


def test_a_labelled_set_lies_in_folders_that_polars_and_pyarrow_read(tmp_path):
    names = ["../../evil", "a b", "é=%", "..", None, "a b"] * 4
    hard = ["easy", None] * 12
    parts = labelled(names, hard)
    result = written(tmp_path, *parts)
    assert result.rows == {"train": 12, "anchor": 12}
    curated = tmp_path / "curated"
    assert {path.name for path in tmp_path.iterdir()} == {"curated", "originals.parquet"}
    assert "domain=..%2F..%2Fevil/difficulty=easy/part-train-00000.parquet" in result.files
    assert sorted(result.files) == sorted(p.relative_to(curated).as_posix() for p in curated.rglob("*.parquet"))
    read = pl.read_parquet(curated / "**/*.parquet", hive_partitioning=True).sort("recryst_id")
    assert read.height == 24
    assert read["domain"].to_list() == read["recryst_domain"].fill_null("unlabelled").to_list()
    assert read["difficulty"].to_list() == read["recryst_difficulty"].fill_null("unlabelled").to_list()
    assert dict(read.select("recryst_id", "recryst_domain").iter_rows())["r0"] == "../../evil"
    assert read["recryst_tags"].to_list() == [["t"]] * 24
    other = pl.from_arrow(pyarrow.dataset.dataset(curated, partitioning="hive").to_table()).sort("recryst_id")
    assert other.select(sorted(other.columns)).equals(read.select(sorted(read.columns)))


def test_a_users_own_column_called_domain_is_not_hidden_by_the_folders(tmp_path):
    parts = labelled(["x", "y"] * 3, domain=["mine"] * 6, Difficulty=["his"] * 6)
    written(tmp_path, *parts)
    read = pl.read_parquet(tmp_path / "curated/**/*.parquet", hive_partitioning=True)
    assert read["domain"].to_list() == ["mine"] * 6
    assert sorted(read["domain_"].to_list()) == ["x"] * 3 + ["y"] * 3
    assert "difficulty" not in read.columns  # no row has one, so it makes no folders


def test_tags_alone_make_no_folders_and_an_earlier_export_is_replaced(tmp_path):
    originals, ledger, text, clusters, labels = labelled(["x", "y"] * 3)
    written(tmp_path, originals, ledger, text, clusters, labels)
    curated = tmp_path / "curated"
    (curated / "domain=gone").mkdir()
    (curated / "domain=gone" / "part-train-00000.parquet").write_bytes(b"old")
    result = written(tmp_path, originals, ledger, text, clusters, labels)
    assert {path.parent.name for path in curated.rglob("*.parquet")} == {"domain=x", "domain=y"}
    assert len(result.files) == 2  # the rows of y are the anchor
    untold = labels.with_columns(domain=pl.lit(None, pl.String))
    (tmp_path / "flat").mkdir()
    assert set(written(tmp_path / "flat", originals, ledger, text, clusters, untold).files) == {
        "train-00000.parquet",
        "anchor-00000.parquet",
    }


def test_labels_are_part_of_what_the_hash_says(tmp_path):
    _, ledger, text, clusters, labels = labelled(["x", "y"] * 3)
    other = labels.with_columns(pl.col("domain").replace("x", "y"))
    hashes = [content_sha256(Curated(tmp_path, ledger, text, clusters, one)) for one in (None, labels, other)]
    assert len(set(hashes)) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    parts = labelled(["x", "y"] * 3)
    (tmp_path / "curated").mkdir(mode=0o500)
    with pytest.raises(StorageError, match="curated"):
        written(tmp_path, *parts)


def test_entries_are_plain():
    entry = Entry("a", "b", ("c",))
    assert taxonomy_of(asdict(Taxonomy((), (entry,), ()))).tags == (entry,)
