"""The configuration: YAML, then settings; what it does not know it refuses with the nearest known key."""

from operator import attrgetter

import pytest

from recryst.state.config import Config
from recryst.state.errors import UsageError
from recryst.state.settings import known_keys, load_config


def test_settings_win_over_the_file(tmp_path):
    path = tmp_path / "recryst.yaml"
    path.write_text("seed: 3\ncluster:\n  k: 12\n  algorithm: kmeans\n")
    config = load_config(path, ["cluster.k=40", "filter.thresholds.min_words=2"])
    assert (config.seed, config.cluster.k, config.filter.thresholds) == (3, 40, {"min_words": 2.0})


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("cluster.kk=3", "did you mean 'cluster.k'"),
        ("sed=1", "did you mean 'seed'"),
        ("cluster.k=0", "greater than or equal to 1"),
        ("objective.price=.nan", "finite"),
        ("cluster.algorithm=k-means", "kmeans"),
        ("cluster", "section.key=value"),
        ("seed.x=1", "seed"),
        ("load.text_column=1.10", r"must be text, and YAML takes it for a number: put it in quotes, as in '\"1.1\"'"),
        ("language.keep=[true]", "YAML takes it for a truth value: put it in quotes"),
        ("filter.thresholds.min_words=on", "needs a number, or off"),
        ("filter.profile=webb", "'notes'"),
        ("train.prune_share=0.3", "train.prune_share: needs train.prune: layers, heads or weights"),
    ],
)
def test_what_is_wrong_is_named(setting, sentence):
    with pytest.raises(UsageError, match=sentence):
        load_config(None, [setting])


@pytest.mark.parametrize(("key", "value"), [("baseline", "true"), ("prune", "heads")])
def test_what_a_classifier_has_no_part_in_is_refused(key, value):
    with pytest.raises(UsageError, match=rf"train\.{key}: is for language models: with train\.mode=classifier leave"):
        load_config(None, ["train.mode=classifier", f"train.{key}={value}"])


def test_bare_words_are_words(tmp_path):
    path = tmp_path / "recryst.yaml"
    path.write_text(
        "language: {keep: [no, on]}\nload: {text_column: 12:30, id_column: 2024-01-01, source_column: yes}\n"
    )
    config = load_config(path, ["filter.thresholds.gopher.min_words=off", "approve=yes", "ablate=off"])
    assert config.language.keep == ("no", "on")
    assert (config.load.text_column, config.load.id_column, config.load.source_column) == ("12:30", "2024-01-01", "yes")
    assert (config.filter.thresholds, config.approve, config.ablate) == ({"gopher.min_words": None}, True, False)
    assert load_config(None, ["language.keep=no", "seed=010"]).language.keep == ("no",)
    assert load_config(None, ["train.learning_rate=1e-4"]).train.learning_rate == 0.0001


def test_broken_yaml_is_one_sentence(tmp_path):
    path = tmp_path / "recryst.yaml"
    path.write_text("a: [1\n b: 2")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_config(path)


def test_every_key_can_be_set_to_its_own_default():
    default = Config()
    for key in known_keys():
        value = attrgetter(key)(default)
        if value is not None and not isinstance(value, tuple | dict):
            config = load_config(None, [f"{key}={value}"])
            assert config == default
            *section, name = key.split(".")
            assert name in (attrgetter(section[0])(config) if section else config).model_fields_set, key
