"""A run of a build that knew fewer settings: it passes its audit and goes on, and its settings are still its own."""

import shutil

import pytest
import yaml
from commands import QUICK
from forger import at, mend, plain

from recryst.agent.audit import audit
from recryst.agent.start import Run, refine
from recryst.agent.view import View
from recryst.state.canonical import sha256_json
from recryst.state.params.rounds import ReviewParams

LATER = ("train.epochs", "quantise.max_loss")  # settings that the earlier build did not know
BUILD = {"version": "0.0.1", "commit": "5" * 40}


def edited(root, change):
    """``run.yaml`` with its settings changed."""
    values = yaml.safe_load((root / "run.yaml").read_text())
    change(values["config"])
    (root / "run.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def lacking(config):
    """Settings without those of ``LATER``; one of a whole section is the last of it."""
    for key in LATER:
        section, name = key.split(".")
        del config[section][name]
    del config["review"]


def earlier(root):
    """Make a run one of an earlier build: as that wrote its settings, their hash and itself into the log."""
    bodies = [plain(event.body()) for event in View.open(root).events]
    edited(root, lacking)
    lacking(bodies[0]["config"])
    sha = sha256_json(bodies[0]["config"])
    for body in bodies:
        body.update({"config_sha": sha} if "config_sha" in body else {})
        body.update({"code": BUILD} if "code" in body else {})
    mend(root, bodies)
    return root


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small finished run, and the call that makes it or goes on with it."""
    folder = tmp_path_factory.mktemp("small")
    lines = [f'the quick brown fox number {n} jumps,"[{n}, {n % 5}, 1]"' for n in range(60)]
    (folder / "rows.csv").write_text("\n".join(["text,v", *lines, ""]))
    settings = {**QUICK, "load.vector_column": "v", "max_rounds": 1}

    def go(out, **options):
        return refine(folder / "rows.csv", out=out, settings=settings, **options).path

    return go(folder / "run", quiet=True), go


@pytest.fixture
def old(small, tmp_path):
    return earlier(shutil.copytree(small[0], tmp_path / "old"))


def test_a_run_of_a_build_with_fewer_settings_passes(old):
    report = audit(old)
    assert report.failures == []
    assert report.builds.startswith(
        "the run was made by Recryst 0.0.1 (commit 555555555555), and is audited by Recryst"
    )
    assert Run(old).curated.height


def test_an_audit_that_fails_names_both_builds(old, recryst):
    edited(old, lambda config: config.update(seed=7))
    told = recryst("audit", old)
    assert told.returncode == 6
    assert "the run was made by Recryst 0.0.1 (commit 555555555555), and is audited by Recryst" in told.stdout


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["train"].update(epochs=4),  # the default of this build
        lambda config: config["train"].pop("context"),
        lambda config: config.pop("caps"),
        lambda config: config["stop"].update(patience=config["stop"]["patience"] + 1),
    ],
)
def test_settings_that_were_added_taken_out_or_changed_are_found(old, change):
    edited(old, change)
    assert any("run.yaml was changed since the run started" in one for one in audit(old).failures)


def test_a_run_of_this_build_has_every_setting_in_writing(small):
    view = View.open(small[0])
    assert view.config.unwritten() == {}
    assert view.config.written() == view.config.model_dump(mode="json") == view.events[0].config
    assert not audit(small[0]).builds


def test_an_unfinished_one_goes_on_and_the_log_has_the_defaults_it_goes_on_with(old, small, capsys):
    log = (old / "events.jsonl").read_bytes().splitlines(keepends=True)
    types = [event.type for event in View.open(old).events]
    (old / "events.jsonl").write_bytes(b"".join(log[: types.index("cluster") + 1]))
    small[1](old)  # the same command
    said = capsys.readouterr().err
    assert "settings that came after the build that began this run stand at their defaults: review.max_rows" in said
    assert "train.epochs = 4, quantise.max_loss = 0.02\n" in said
    (resumed,) = [event for event in View.open(old).events if event.type == "resume"]
    assert set(resumed.defaults) == {*LATER, *(f"review.{key}" for key in ReviewParams.model_fields)}
    assert audit(old).failures == []

    bodies = [plain(event.body()) for event in View.open(old).events]
    at(bodies, "resume")["defaults"]["train.epochs"] = 8  # the default of the build that went on with it
    mend(old, bodies)
    assert any("(resume): defaults.train.epochs is 8, derived again 4" in failure for failure in audit(old).failures)
