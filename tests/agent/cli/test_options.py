"""What the command line is told, before and instead of a run: which option is wrong, and what to do about it."""

import json
import socket

import pytest
from commands import SHORT

from recryst.agent.cli.claim import begin as begin_run
from recryst.agent.llm.open import open_provider
from recryst.state.errors import LockedError, ModelError, UsageError
from recryst.state.params.llm import LlmParams
from recryst.state.run import RunDirectory
from recryst.state.settings import load_config, parse_config
from recryst.tools.vectors.net import Fault


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"the quick brown fox {n} jumps over lazy dog {n}"}) + "\n" for n in range(60))
    )
    return path


@pytest.fixture
def silent_port():
    """An address at which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def error_of(done, code):
    """The one sentence on standard error."""
    assert done.returncode == code, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("command", ["run", "chat"])
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--max-usd", "3"], 2, "error: --max-usd needs --llm PROVIDER:NAME"),
        (["--base-url", "http://127.0.0.1:1/v1"], 2, "error: --base-url needs --llm PROVIDER:NAME"),
        (["--critic", "llm"], 2, "error: --critic needs --llm PROVIDER:NAME"),
        (["--llm", "ollama:any", "--batch"], 2, "--batch"),
        (["--llm", "openai:any", "--base-url", "http://{silent}/v1"], 8, "the server at {silent} cannot be reached"),
        (["--llm", "antropic:any"], 2, "did you mean anthropic"),
        (["--model", "ollama:any", "--set", "embed.base_url=http://{silent}"], 8, "{silent} cannot be reached"),
    ],
)
def test_it_is_said_before_anything_is_read(recryst, rows, tmp_path, silent_port, command, options, code, said):
    options = [option.format(silent=silent_port) for option in options]
    done = recryst(command, rows, *options, cwd=tmp_path, env={"OPENAI_API_KEY": "sk-test"})
    assert said.format(silent=silent_port) in error_of(done, code)
    assert not (tmp_path / "runs").exists()


def test_the_option_the_setting_or_the_file_is_named(tmp_path):
    def said(settings=(), options=None, text=None):
        path = None
        if text is not None:
            path = tmp_path / "recryst.yaml"
            path.write_text(text)
        with pytest.raises(UsageError) as error:
            load_config(path, list(settings), options)
        assert "Value error" not in str(error.value)
        return str(error.value).replace(f"{tmp_path}/", "")

    usd = {"llm.max_usd": ("--max-usd", -1.0)}
    assert said(options=usd).startswith("--max-usd (llm.max_usd): Input should be greater than 0 (got -1.0)")
    assert said(["llm.max_usd=-2"], usd).startswith("--set llm.max_usd: Input should be")
    assert said(text="llm: {max_usd: -1}").startswith("recryst.yaml: llm.max_usd: Input")
    assert said(text="llm: {max_usd: 1}") == "recryst.yaml: llm.max_usd needs llm.model (--llm PROVIDER:NAME)"
    assert said(["policy=llm"]) == "--set policy needs llm.model (--llm PROVIDER:NAME)"
    assert said(["embed.base_url=ftp://me:secret@host"]).startswith("--set embed.base_url: must begin with http://")
    assert "secret" not in said(["embed.base_url=ftp://me:secret@host"])
    assert said(text="lmm: {model: x}").endswith("unknown key 'lmm'; did you mean 'llm'?")
    assert said(text="max_usd: 3").endswith("did you mean 'llm.max_usd'?")
    assert said(["cluster=3"]).startswith("--set cluster: must be a section")
    assert said(text="a: 1\nb: [1\nc: 2") == "recryst.yaml line 3: not valid YAML: expected ',' or ']', but got ':'"


def test_an_outcome_is_a_size_and_a_share():
    def outcome(*settings, **options):
        given = {f"outcome.{key}": (f"--{key.replace('_', '-')}", value) for key, value in options.items()}
        return load_config(None, list(settings), given).outcome

    for share in ("1%", " 1 %", "0.01", 0.01):
        assert outcome(target_noise=share).target_noise == pytest.approx(0.01)
    assert outcome("outcome.target_noise=2.5%").target_noise == pytest.approx(0.025)
    assert not outcome().asked
    assert outcome(keep=40).asked
    for share in ("1", "100%", "-1%"):
        with pytest.raises(
            UsageError, match=r"^--target-noise \(outcome.target_noise\): must be a share from 0 to below 1"
        ):
            outcome(target_noise=share)
    with pytest.raises(UsageError, match=r"^--target-noise .*a valid number"):
        outcome(target_noise="few%")
    with pytest.raises(UsageError, match=r"^--keep \(outcome.keep\): must be at least stop.min_rows, 40: ask for more"):
        outcome(keep=39)
    assert outcome("stop.min_rows=10", keep=39).keep == 39


def test_a_run_with_an_idle_bound_from_before_is_still_read():
    assert parse_config({"llm": {"max_usd": 1.0}}, "run.yaml").llm.max_usd == 1.0


def test_a_run_that_failed_on_a_mistake_is_begun_anew(recryst, rows, tmp_path):
    assert "txet" in error_of(recryst("run", rows, "--text-column", "txet", cwd=tmp_path), 3)
    done = recryst("run", rows, "--json", "--seed", "3", *SHORT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["rows"]
    assert recryst("audit", tmp_path / "runs" / "rows").returncode == 0
    other = recryst("run", rows, "--out", tmp_path / "runs" / "rows", "--seed", "4", *SHORT)
    assert "was begun with seed = 3, not 4; choose another --out" in error_of(other, 2)


def test_only_what_a_run_wrote_is_removed(rows, tmp_path):
    def begin(**settings):
        with begin_run(str(rows), parse_config(settings, "the test"), tmp_path / "run", print) as directory:
            return directory

    run = begin()
    note = run.root / "notes.txt"
    note.write_text("mine")
    with pytest.raises(UsageError, match="was begun with seed = 0, not 1"):
        begin(seed=1)
    note.unlink()
    (run.root / "llm").mkdir()
    (run.root / "llm" / "paid.json").write_text("{}")
    with pytest.raises(UsageError, match="seed"):
        begin(seed=1)
    (run.root / "llm" / "paid.json").unlink()
    with run.lock(), pytest.raises(LockedError):
        begin(seed=1)
    assert begin(seed=1).read_settings()[1].seed == 1
    assert RunDirectory.open(run.root).root.is_dir()
    secret = {"embed": {"base_url": "http://127.0.0.1:1/secret"}}
    (run.root / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"was begun with another embed\.base_url") as error:
        begin(seed=1, **secret)
    assert "secret" not in str(error.value)


def test_where_nobody_answers_and_what_the_address_lacks(llm_server, monkeypatch, silent_port):
    from llm_server import Failure

    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    server = llm_server()
    host = server.url.removeprefix("http://")

    def fault(url):
        provider = open_provider(LlmParams(model="openai:any", base_url=url))
        with pytest.raises(Fault) as raised:
            provider.send({"model": "any", "messages": []}, 5.0)
        return str(raised.value)

    assert f"the server at {host} answered 404" in fault(f"{server.url}/path-of-mine")
    assert fault(server.url).endswith("does the address end in /v1?")
    assert "path-of-mine" not in fault(f"http://{silent_port}/path-of-mine")
    server.fail([Failure(404)])
    assert "end in /v1" not in fault(server.base_url("openai"))
    open_provider(LlmParams(model="openai:any", base_url=server.base_url("openai"))).ready()
    with pytest.raises(ModelError, match=silent_port):
        open_provider(LlmParams(model="ollama:any", base_url=f"http://{silent_port}")).ready()


def test_a_stopped_run_is_named_where_it_goes_on(recryst, rows, tmp_path, llm_server):
    from llm_server import Failure

    server = llm_server(lambda asked: Failure(401))
    model = ("--llm", "openai:any", "--base-url", server.base_url("openai"), "--set", "quality.teacher_rows=0")
    done = recryst("run", rows, *model, *SHORT, cwd=tmp_path, env={"OPENAI_API_KEY": "sk-test"})
    assert "`recryst resume runs/rows` goes on" in error_of(done, 8)
