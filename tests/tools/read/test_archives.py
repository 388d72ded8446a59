"""Archives of documents: the same rows as the folder gives, and nothing that a hostile archive wants."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recryst.state.errors import InputError
from recryst.state.params.preparation import LoadParams
from recryst.tools.read.archives import members
from recryst.tools.read.load import LoadResult, load
from recryst.tools.read.pages.extract import Unreadable

MEGABYTE = 1 << 20
SENTENCE = "The old lighthouse keeper counted every ship that passed the northern reef before the winter storms came. "
FILES = {
    "a.txt": b"first",
    "pages/b.md": b"# Second\n\nwords",
    "pages/c.html": f"<html><head><title>Third</title></head><body><p>{SENTENCE * 4}</p></body></html>".encode(),
    "pages/d.txt.gz": gzip.compress(b"fourth", mtime=0),
    "style.css": b"p {}",
}
PACKERS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": zstandard.compress,
}


def tar_of(files: dict[str, bytes], *special: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in special:
            archive.addfile(member)
    return out.getvalue()


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def loaded(tmp_path: Path, name: str, content: bytes, **params: Any) -> LoadResult:
    (tmp_path / name).write_bytes(content)
    return load(str(tmp_path / name), LoadParams(**params), tmp_path / "out")


def reasons(result: LoadResult) -> dict[str, str]:
    found = [orjson.loads(line)["reason"] for line in result.quarantine.read_bytes().splitlines()]
    return dict(reason.split(": ", 1) for reason in found)


def read(tmp_path: Path, name: str, content: bytes, max_bytes: int = MEGABYTE) -> dict[str, bytes | str]:
    (tmp_path / name).write_bytes(content)
    found = members(tmp_path / name, lambda member: True, max_bytes)
    return {name: str(data) if isinstance(data, Unreadable) else data for name, data in found}


def test_an_archive_gives_the_rows_of_its_folder(tmp_path: Path) -> None:
    for name, content in FILES.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    expected = pl.read_parquet(load(str(tmp_path / "folder"), LoadParams(), tmp_path / "out").originals)
    assert expected.rows() == [
        (0, "a.txt", "first", None, "text"),
        (1, "pages/b.md", "Second\n\nwords", "Second", "markdown"),
        (2, "pages/c.html", (SENTENCE * 4).strip(), "Third", "html"),
        (3, "pages/d.txt.gz", "fourth", None, "text"),
    ]
    archives = {
        "a.zip": zip_of(dict(reversed(FILES.items()))),
        "a.TGZ": gzip.compress(tar_of({f"./{name}": data for name, data in FILES.items()})),
    }
    for name, content in archives.items():
        result = loaded(tmp_path, name, content, batch_rows=3)
        assert pl.read_parquet(result.originals).equals(expected), name
        assert result.quarantined == 0
        assert "1 of the files" in result.notes[0]


def test_every_kind_of_archive_is_read(tmp_path: Path) -> None:
    archives = {f"a.tar{suffix}": pack(tar_of(FILES)) for suffix, pack in PACKERS.items()}
    archives |= {"gnu.tar": tar_of(FILES, form=tarfile.GNU_FORMAT), "stored.zip": zip_of(FILES, zipfile.ZIP_STORED)}
    archives |= {"parallel.tar.bz2": bz2.compress(tar_of(FILES)[:2000]) + bz2.compress(tar_of(FILES)[2000:])}
    for name, content in archives.items():
        assert read(tmp_path, name, content) == FILES, name


def test_names_that_lead_out_and_links_are_refused(tmp_path: Path) -> None:
    outside = dict.fromkeys(("../a.txt", "b/../../c.txt", "/d.txt", "..\\e.txt", "C:\\f.txt", "g/..h.txt"), b"x")
    links = [special("i.txt", tarfile.SYMTYPE, "/etc/passwd"), special("j.txt", tarfile.LNKTYPE, "g/..h.txt")]
    result = loaded(tmp_path, "a.tar", tar_of(outside, *links, special("k.txt", tarfile.FIFOTYPE)))
    assert pl.read_parquet(result.rows)["id"].to_list() == ["g/..h.txt"]
    found = reasons(result)
    assert [name for name, reason in found.items() if "leads outside" in reason] == list(outside)[:5]
    assert found["i.txt"] == found["j.txt"] == "it is a link"
    assert found["k.txt"] == "it is not a regular file"

    out = io.BytesIO(zip_of(outside))
    with zipfile.ZipFile(out, "a") as archive:
        link = zipfile.ZipInfo("i.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    result = loaded(tmp_path, "a.zip", out.getvalue())
    assert pl.read_parquet(result.rows)["id"].to_list() == ["g/..h.txt"]
    assert {name: found[name] for name in reasons(result)} == reasons(result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "a.zip", "out"]  # nothing was unpacked


def test_bombs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = {"a.txt": b"good", "big.txt": bytes(3 * MEGABYTE), "big.txt.gz": gzip.compress(bytes(3 * MEGABYTE))}
    for name, content in {"a.zip": zip_of(big), "a.tar.xz": lzma.compress(tar_of(big))}.items():
        found = reasons(loaded(tmp_path, name, content, max_line_mb=1))
        assert found == dict.fromkeys(["big.txt", "big.txt.gz"], "the file is larger than 1 MB (load.max_line_mb)")

    # Every file of a zip is packed for itself; honest ones beside it, which pack badly, are no excuse.
    honest = {f"{at}.txt": random.Random(at).randbytes(MEGABYTE // 8) for at in range(8)}
    found = read(tmp_path, "a.zip", zip_of({**honest, "long.txt": bytes(MEGABYTE + 1)}), max_bytes=2 * MEGABYTE)
    assert found == {**honest, "long.txt": "it unpacks to more than 200 times its size"}

    monkeypatch.setattr("recryst.tools.read.archives._UNSUSPECTED", 8 * MEGABYTE)
    many = {f"{at:02}.txt": bytes(MEGABYTE) for at in range(20)}
    for name, content in {"b.zip": zip_of(many), "b.tar.bz2": bz2.compress(tar_of(many))}.items():
        read_from = read(tmp_path, name, content)
        assert 6 <= len(read_from) - 1 <= 8
        assert "unpacks to more than 200 times its size" in read_from[name]

    long = special("x", tarfile.XHDTYPE)
    long.size = 4 * MEGABYTE  # tarfile reads such a header whole
    content = tar_of({"a.txt": b"good"})[:1024] + long.tobuf() + bytes(4 * MEGABYTE)
    assert "header is longer" in read(tmp_path, "c.tar", content)["c.tar"]


def test_what_cannot_be_read_in_a_zip_is_refused_one_by_one(tmp_path: Path) -> None:
    whole = zip_of({"a.txt": b"a" * 50, "b.txt": b"b" * 50, "c.txt": b"c" * 50})
    directory = whole.index(b"PK\x01\x02")
    locked = bytearray(whole)
    locked[directory + 8] |= 1  # encrypted, says the directory
    spoilt = whole.replace(b"b.txt" + whole[whole.index(b"b.txt") + 5 :][:6], b"b.txt" + b"\xff" * 6, 1)
    assert read(tmp_path, "a.zip", bytes(locked)) == {
        "a.txt": "it is encrypted",
        "b.txt": b"b" * 50,
        "c.txt": b"c" * 50,
    }
    found = read(tmp_path, "b.zip", spoilt)
    assert "it is damaged" in str(found["b.txt"])
    assert (found["a.txt"], found["c.txt"]) == (b"a" * 50, b"c" * 50)
    packed = read(tmp_path, "c.zip", zip_of({"a.txt": b"x"}, zipfile.ZIP_LZMA))
    assert packed == {"a.txt": "it is packed by another method than deflate"}


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_truncated_tar_keeps_what_stands_before_the_break(tmp_path: Path, suffix: str) -> None:
    files = {f"{at}.txt": random.Random(at).randbytes(3000).hex().encode() for at in range(400)}
    whole = PACKERS[suffix](tar_of(files))
    result = loaded(tmp_path, f"a.tar{suffix}", whole[: len(whole) // 2])
    assert result.quarantined == 1
    assert "the archive breaks off here" in reasons(result)[f"a.tar{suffix}"]
    assert 50 < result.ingested < 350
    kept = pl.read_parquet(result.rows)
    assert dict(zip(kept["id"], kept["text"], strict=True)) == {
        name: data.decode() for name, data in list(files.items())[: result.ingested]
    }


def test_an_archive_that_holds_nothing_to_read_says_so(tmp_path: Path) -> None:
    nested = zip_of({"inside.zip": zip_of(FILES), "rows.jsonl": b"{}"})
    with pytest.raises(InputError, match=r"data files \(rows.jsonl\), which are not read inside an archive; unpack it"):
        loaded(tmp_path, "a.zip", nested)
    result = loaded(tmp_path, "b.zip", zip_of({"inside.zip": zip_of(FILES), "a.txt": b"words"}))
    assert "1 of them are archives, which are not entered" in result.notes[0]
    for name in ("c.zip", "c.tar", "c.tar.gz", "c.tar.xz", "c.tar.bz2", "c.tar.zst"):
        for content in (b"", random.Random(1).randbytes(3000)):
            with pytest.raises(InputError, match="is damaged, or no archive"):
                loaded(tmp_path, name, content)
    with pytest.raises(InputError, match="is damaged"):
        loaded(tmp_path, "d.zip", zip_of(FILES)[:-30])


@given(st.sampled_from([".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"]), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_archives_give_files_or_reasons_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    pack = PACKERS.get(suffix.removeprefix(".tar"), bytes)
    form = data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    plain = (
        zip_of(FILES) if suffix == ".zip" else tar_of({**FILES, "long" * 60 + ".txt": b"x", "é.txt": b"y"}, form=form)
    )
    spots = data.draw(
        st.lists(st.tuples(st.integers(0, len(plain) - 1), st.binary(min_size=1, max_size=9)), max_size=4)
    )
    damaged = bytearray(plain)
    for at, patch in spots:
        damaged[at : at + len(patch)] = patch
    content = bytes(damaged) if suffix == ".zip" else pack(bytes(damaged))
    content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path_factory.mktemp("archive") / f"a{suffix}"
    path.write_bytes(content)
    try:
        found = list(members(path, lambda member: True, MEGABYTE))
    except InputError:
        return
    assert all(isinstance(content, bytes | Unreadable) for _, content in found)
    assert all(len(content) <= MEGABYTE for _, content in found if isinstance(content, bytes))


def test_a_limit_leaves_the_rest_unread(tmp_path: Path) -> None:
    files = {f"{at:03}.html": FILES["pages/c.html"] for at in range(200)}
    result = loaded(tmp_path, "a.tar", tar_of(files)[:-20_000], limit=3)
    assert (result.ingested, result.quarantined) == (3, 0)
