"""What arrives at a hub is what was sent, once; and whatever it refuses is one sentence."""

import hashlib
import socket

import pytest
from hub import TOKEN

from recryst.state.errors import HubError, IntegrityError, UsageError
from recryst.tools.write.hub.upload import Parcel, check_name, connect, upload


def parcel(folder, **contents):
    files = {"README.md": b"---\ntags: [recryst]\n---\n# Rows\n", **contents}
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("/", "-")).write_bytes(content)
    return Parcel(
        "dataset",
        {name: (folder / name.replace("/", "-"), hashlib.sha256(data).hexdigest()) for name, data in files.items()},
    )


def sent(one):
    return {name: path.read_bytes() for name, (path, _) in one.files.items()}


def test_the_bytes_arrive_in_one_commit_and_the_token_in_headers_alone(hub, tmp_path):
    one = parcel(tmp_path / "a", **{"curated/train-00000.parquet": b"PAR1" * 999, "curated/train-00001.parquet": b"2"})
    told = []
    upload(connect(hub.url), "me/rows", one, True, told.append)
    assert hub.files("dataset", "me/rows") == sent(one)
    assert hub.repos["dataset", "me/rows"]["private"]
    assert len(hub.commits) == 1
    assert sum(told) == one.size
    for method, path, headers, body in hub.asked:
        assert TOKEN.encode() not in path.encode() + body
        named = [name for name, value in headers.items() if TOKEN in value]
        assert named == ([] if method == "PUT" else ["authorization"])


def test_a_push_again_sends_what_is_missing_and_takes_away_what_is_no_longer_part(hub, tmp_path):
    rows = {"curated/train-00000.parquet": b"PAR1" * 999, "curated/train-00001.parquet": b"2"}
    one = parcel(tmp_path / "a", **rows)
    hub.refusing["commit"] = 403
    with pytest.raises(HubError, match=r"datasets/me/rows is not open to the token: .* \(403\)"):
        upload(connect(hub.url), "me/rows", one, True)
    hub.refusing.clear()
    stored = sum(method == "PUT" for method, *_ in hub.asked)
    upload(connect(hub.url), "me/rows", one, True)
    assert sum(method == "PUT" for method, *_ in hub.asked) == stored == 2
    hub.files("dataset", "me/rows")["LICENSE"] = b"the owner's"
    fewer = parcel(tmp_path / "b", **{"curated/train-00000.parquet": b"other rows"})
    upload(connect(hub.url), "me/rows", fewer, True)
    assert hub.files("dataset", "me/rows") == {**sent(fewer), "LICENSE": b"the owner's"}


def test_a_public_repository_is_not_written_to_unasked(hub, tmp_path):
    one = parcel(tmp_path / "a")
    upload(connect(hub.url), "me/rows", one, False)
    asked = len(hub.asked)
    with pytest.raises(UsageError, match="is there and public: say --public"):
        upload(connect(hub.url), "me/rows", parcel(tmp_path / "b", **{"curated/x.parquet": b"1"}), True)
    assert {path.rpartition("/")[2] for _, path, *_ in hub.asked[asked:]} == {"create", "rows"}


@pytest.mark.parametrize(
    ("route", "status", "said"),
    [
        ("create", 401, "does not know the token: set HF_TOKEN"),
        ("create", 403, "is not open to the token"),
        ("info", 404, "is not there, or not for this token"),
        ("commit", 409, "was changed by somebody else at the same time: push again"),
        ("store", 418, "refused, or cannot answer now"),
    ],
)
def test_a_refusal_is_one_sentence(hub, tmp_path, route, status, said):
    hub.refusing[route] = status
    if route == "create" and status == 403:
        hub.refusing["info"] = 404  # the client looks whether the repository is there all the same
    with pytest.raises(HubError) as error:
        upload(connect(hub.url), "me/rows", parcel(tmp_path / "a", **{"curated/x.parquet": b"1"}), True)
    assert str(error.value).startswith(f"{hub.url}/datasets/me/rows {said}")
    assert str(error.value).endswith(f"({status})")
    assert TOKEN not in str(error.value)


def test_nobody_there_is_one_sentence(hub, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(HubError, match=r"datasets/me/rows could not be reached: .*refused"):
            upload(connect(nowhere), "me/rows", parcel(tmp_path / "a"), True)


def test_a_file_that_is_not_what_was_logged_is_not_sent(hub, tmp_path):
    one = parcel(tmp_path / "a", **{"curated/x.parquet": b"1"})
    one.files["curated/x.parquet"][0].write_bytes(b"2")
    with pytest.raises(IntegrityError, match=r"curated-x\.parquet was changed"):
        upload(connect(hub.url), "me/rows", one, True)
    assert not hub.large
    assert not hub.commits


@pytest.mark.usefixtures("no_network")
def test_where_no_token_may_go_nothing_is_asked(hub, tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    for address in ("http://hub.example.org", "https://me:word@hub.example.org", "ftp://127.0.0.1"):
        with pytest.raises(UsageError, match="https://"):
            connect(address)
    for name in ("rows", "me/rows/more", "../rows", "me/ro ws"):
        with pytest.raises(UsageError, match="OWNER/NAME"):
            check_name(name)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="set HF_TOKEN"):
        connect(hub.url)
