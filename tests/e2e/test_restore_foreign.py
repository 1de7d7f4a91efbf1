# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""Objects that others have put there, by chance or to do harm: nothing is written outside of the
target."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks import body, write_files
from fixtures.trees import read_tree

# -- objects of other tools ---------------------------------------------------------------------


def test_objects_without_our_headers(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    for key in ("plain", "folder/inside", "folder/deeper/inside"):
        s3.put_object(Bucket=bucket, Key=f"p/{key}", Body=key.encode())
    s3.put_object(Bucket=bucket, Key="p/empty/", Body=b"")
    back = tmp_path / "back"
    back.mkdir()
    ctl("restore", f"s3://{bucket}/p", back, check=0)
    assert {
        os.fsdecode(path): (entry.kind, oct(entry.mode), entry.uid)
        for path, entry in read_tree(back).items()
    } == {
        "plain": ("file", "0o644", os.geteuid()),
        "folder": ("directory", "0o755", os.geteuid()),
        "folder/inside": ("file", "0o644", os.geteuid()),
        "folder/deeper": ("directory", "0o755", os.geteuid()),
        "folder/deeper/inside": ("file", "0o644", os.geteuid()),
        "empty": ("directory", "0o755", os.geteuid()),
    }
    stored = s3.head_object(Bucket=bucket, Key="p/plain")["LastModified"]
    assert (back / "plain").stat().st_mtime == stored.timestamp()
    assert (back / "folder/deeper/inside").read_text() == "folder/deeper/inside"


@pytest.mark.parametrize(
    "headers",
    [
        {"mode": "99999999999"},
        {"mode": "-1"},
        {"mode": "0x1ff"},
        {"mode": str(0o200644)},  # no type of file
        {"mode": str(0o777777)},
        {"mode": "nan", "mtime": "1e300"},
        {"mode": str(stat.S_IFDIR | 0o755)},  # but the key has no slash
        {"mtime": "1e400"},
        {"mtime": "9" * 30},
        {"mtime": "nan", "mode": "33188", "uid": "0", "gid": "0"},
        {"uid": "-5", "gid": "99999999999999999999"},
        {"uid": str(2**32), "gid": str(2**32 - 1)},
        {"xattr": "%7B%22user.a%22%3A%22not base64!%22"},
        {"xattr": "%7B%22trusted.a%22%3A%22MQ%3D%3D%22%7D"},
        {"rdev": "1:3"},
    ],
    ids=lambda headers: ",".join(f"{k}={v:.12}" for k, v in headers.items()),
)
def test_absurd_headers_count_as_not_said(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str, headers: dict[str, str]
) -> None:
    s3.put_object(Bucket=bucket, Key="p/file", Body=b"content", Metadata=headers)
    stored = s3.head_object(Bucket=bucket, Key="p/file")["LastModified"]
    ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=0)
    file = tmp_path / "back/file"
    assert file.read_bytes() == b"content"
    status = file.lstat()
    assert oct(status.st_mode) == "0o100644"
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    assert status.st_mtime == stored.timestamp()
    assert os.listxattr(file) == []


def test_fifo_with_a_body_does_not_lose_it_in_silence(
    ctl: Any, tmp_path: Path, s3: Any, bucket: str
) -> None:
    mode = str(stat.S_IFIFO | 0o644)
    s3.put_object(Bucket=bucket, Key="p/odd", Body=b"content", Metadata={"mode": mode})
    s3.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back")
    assert (tmp_path / "back/good").read_bytes() == b"good"
    odd = tmp_path / "back/odd"
    has_content = odd.is_file() and odd.read_bytes() == b"content"
    is_named = result.returncode == 2 and "failed   p/odd: " in result.stderr
    assert has_content or is_named, result


def test_second_key_of_one_name(ctl: Any, tmp_path: Path, s3: Any, bucket: str) -> None:
    """U+E0C3 U+E0A9 stand for the bytes of "é", which nobody has to write so."""
    s3.put_object(Bucket=bucket, Key="p/é", Body=b"one")
    s3.put_object(Bucket=bucket, Key="p/\ue0c3\ue0a9", Body=b"two")
    result = ctl("restore", f"s3://{bucket}/p", tmp_path / "back", check=2)
    assert "failed   p/\ue0c3\ue0a9: The key is not the one" in result.stderr
    assert read_tree(tmp_path / "back").keys() == {"é".encode()}
    assert (tmp_path / "back/é").read_bytes() == b"one"


# -- keys that mean harm ------------------------------------------------------------------------

HARMFUL = [
    "p/../up",
    "p/../../etc/x",
    "p/a/../../up",
    "p//abs",
    "p//tmp/abs",
    "p/a//b",
    "p/./x",
    "p/..",
    "p/.",
    "p/a/..",
    "p/../",
    "p/nul\ue000",
    "p/nul\ue000/x",
    "p/sl\ue02fash",
    "p/\ue02e\ue02e/up",
    "p/\ue02e\ue02e\ue02fup",
]


def surroundings(place: Path) -> dict[bytes, Any]:
    return {path: vars(entry) for path, entry in read_tree(place).items()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The target is in the middle of it; nothing else in it may change."""
    return write_files(tmp_path / "place", {"etc/x": "safe", "up": "safe", "in/target/": ""})


def test_harmful_keys_write_nothing_outside(
    ctl: Any, place: Path, s3: Any, bucket: str, s3_raw_put: Any
) -> None:
    for key in HARMFUL:
        s3_raw_put(bucket, key, b"harm")
    s3.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    before = surroundings(place)
    result = ctl("restore", f"s3://{bucket}/p", place / "in/target", check=2)
    for key in HARMFUL:
        assert f"failed   {key}: " in result.stderr, key
    assert result.stdout.startswith("Done: 1 restored (4 B), ")
    assert f", {len(HARMFUL)} failed\n" in result.stdout
    assert (place / "in/target/good").read_bytes() == b"good"
    (place / "in/target/good").unlink()
    # Of "p/a/../../up" not even the folder "a".
    after = surroundings(place)
    for state in (before, after):
        del state[b"in/target"]  # its time
    assert after == before


@pytest.fixture
def s3_raw_put(rgw: Any, s3: Any) -> Any:
    def put(bucket: str, key: str, content: bytes) -> None:
        assert rgw.request("PUT", f"/{bucket}/{key}", body=content).status == 200
        assert s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"][0]["Key"] == key

    return put


LINK = {"mode": str(stat.S_IFLNK | 0o777)}


@pytest.mark.parametrize("jobs", ["--jobs=1", "--jobs=8"])
@pytest.mark.parametrize(
    "outside", ["{place}/etc", "../../etc", "/proc/self/cwd", "."], ids=lambda text: text[-8:]
)
def test_nothing_goes_through_a_restored_symlink(
    ctl: Any, place: Path, s3: Any, bucket: str, outside: str, jobs: str
) -> None:
    """The link is one's own right, what lies behind it is not: in the same run and in the next."""
    body = outside.format(place=place).encode()
    s3.put_object(Bucket=bucket, Key="p/link", Body=body, Metadata=LINK)
    target = place / "in/target"
    before = surroundings(place / "etc")
    ctl("restore", jobs, f"s3://{bucket}/p", target, check=0, cwd=place / "etc")
    assert os.readlink(target / "link").encode() == body

    for key in ("p/link/evil", "p/link/x", "p/link/new/", "p/link/new/evil", "p/good"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"harm")
    result = ctl(
        "restore", jobs, "--overwrite", "always", f"s3://{bucket}/p", target, check=2,
        cwd=place / "etc",
    )  # fmt: skip
    for key in ("p/link/evil", "p/link/x", "p/link/new/", "p/link/new/evil"):
        assert f"failed   {key}: " in result.stderr, key
    assert (target / "good").read_bytes() == b"harm"
    assert surroundings(place / "etc") == before
    assert sorted(os.listdir(target)) == ["good", "link"]

    # And all at once into a fresh folder, whichever comes first: the link, or what is called so.
    result = ctl("restore", jobs, f"s3://{bucket}/p", place / "in/other", cwd=place / "etc")
    assert result.returncode == 2 or "1 kept as they are" in result.stdout, result
    assert surroundings(place / "etc") == before
    assert sorted(os.listdir(place)) == ["etc", "in", "up"]


def test_symlink_within_the_target_is_no_way_either(
    ctl: Any, place: Path, s3: Any, bucket: str
) -> None:
    """One file would become another."""
    target = place / "in/target"
    s3.put_object(Bucket=bucket, Key="p/real/deep/file", Body=b"good")
    s3.put_object(Bucket=bucket, Key="p/link", Body=b"real", Metadata=LINK)
    ctl("restore", f"s3://{bucket}/p", target, check=0)
    s3.put_object(Bucket=bucket, Key="p/link/deep/file", Body=b"harm")
    result = ctl("restore", "--overwrite", "always", f"s3://{bucket}/p", target, check=2)
    assert "failed   p/link/deep/file: " in result.stderr
    assert (target / "real/deep/file").read_bytes() == b"good"


def test_folder_object_does_not_reach_through_a_symlink(
    ctl: Any, place: Path, s3: Any, bucket: str
) -> None:
    """Its mode and time are set at the end, when a link may stand in its place."""
    (place / "in/target/link").symlink_to(place / "etc")
    headers = {"mode": str(stat.S_IFDIR | 0o777), "mtime": "1.000000000"}
    s3.put_object(Bucket=bucket, Key="p/link/", Metadata=headers)
    before = (place / "etc").stat()
    result = ctl("restore", f"s3://{bucket}/p", place / "in/target", check=2)
    assert "failed   p/link/: " in result.stderr
    after = (place / "etc").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_symlink_in_a_files_place_is_replaced_not_followed(
    ctl: Any, place: Path, s3: Any, bucket: str
) -> None:
    (place / "in/target/file").symlink_to(place / "up")
    s3.put_object(Bucket=bucket, Key="p/file", Body=b"new")
    ctl("restore", "--overwrite", "always", f"s3://{bucket}/p", place / "in/target", check=0)
    assert (place / "up").read_text() == "safe"
    assert not (place / "in/target/file").is_symlink()
    assert (place / "in/target/file").read_text() == "new"
