"""tus 1.0.0, Creation, Upload-Metadata: kept as it came, and never trusted."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.wire.conftest import LogLines
from tests.wire.tus import Tus


def encoded(key: str, value: bytes) -> str:
    """One pair."""
    return f"{key} {b64encode(value).decode()}"


@pytest.mark.parametrize(
    "raw",
    [
        "k dg==",
        "k",
        "a YQ==,b,c Yw==",
        "b Yg==,a YQ==",
        "empty ,filename eCB5LnR4dA==",
        "filename w6QudHh0,filetype dGV4dC9wbGFpbg==,relativePath bnVsbA==",
        "binary " + b64encode(bytes(range(256))).decode(),
        "long " + "QUJD" * 4000,
        "!#$%&'*+-.^_`|~ YQ==",
    ],
)
def test_head_gives_metadata_back_as_it_came(tus: Tus, raw: str) -> None:
    """tus 1.0.0, Upload-Metadata: HEAD returns the value of the creation (T-060, T-064, C-14, C-20)."""
    path = tus.create(1, {"Upload-Metadata": raw})

    assert tus.head(path).get("Upload-Metadata") == raw
    tus.patch(path, 0, b"x")
    assert tus.head(path).get("Upload-Metadata") == raw


@pytest.mark.parametrize(
    ("given", "returned"), [("k ", "k"), ("a YQ==, b Yg==", "a YQ==, b Yg=="), (" a YQ== ", "a YQ==")]
)
def test_blanks_around_metadata_do_no_harm(tus: Tus, given: str, returned: str) -> None:
    """RFC 9110, 5.5: blanks around a value are not part of it; in the list they are tolerated.

    (T-060, C-14)
    """
    path = tus.create(1, {"Upload-Metadata": given})

    assert tus.head(path).get("Upload-Metadata") == returned


@pytest.mark.parametrize("raw", [None, "", " "], ids=["missing", "empty", "blank"])
def test_no_metadata_is_no_header(tus: Tus, raw: str | None) -> None:
    """tus 1.0.0, Upload-Metadata: one or more pairs, else no header; an empty one is none (T-059, C-13)."""
    path = tus.create(1, {"Upload-Metadata": raw})

    assert tus.head(path).all("Upload-Metadata") == []


@pytest.mark.parametrize(
    "raw",
    [
        ",",
        "a YQ==,,b Yg==",
        "a YQ==,",
        "k v!",
        "k a b",
        "k YQ",
        "k YQ==YQ==",
        "k\tYQ==",
        "a  YQ==",
        "k ä",
        "a YQ==,a Yg==",
        "a,a",
        ["a YQ==", "a Yg=="],
        "ключ YQ==",
    ],
)
def test_what_is_no_list_of_pairs_is_refused(tus: Tus, raw: str | list[str]) -> None:
    """tus 1.0.0, Upload-Metadata: unique ASCII keys, each with Base64, else 400 (T-060, T-061, T-062)."""
    lines = [raw] if isinstance(raw, str) else raw
    fields = {"Upload-Length": "1", "Upload-Metadata": [line.encode().decode("latin-1") for line in lines]}

    with tus.nothing_stored():
        answer = tus.ask("POST", fields=fields)

    assert answer.status == 400
    assert answer.body.startswith(b"ERR_INVALID_METADATA: Upload-Metadata: ")
    assert answer.get("Location") is None


def test_several_lines_are_one_list(tus: Tus) -> None:
    """RFC 9110, 5.3: lines of one list-valued field are joined by commas, in order (T-061)."""
    path = tus.create(1, {"Upload-Metadata": ["a YQ==", "b Yg=="]})

    assert tus.head(path).get("Upload-Metadata") == "a YQ==, b Yg=="


NAMES = {
    "folders": (b"../../../etc/cron.d/evil.txt", ".txt"),
    "absolute": (b"/etc/passwd", ""),
    "backslashes": (b"..\\..\\evil.exe", ".exe"),
    "new lines": (b"a\r\nX-Evil: 1\r\n\r\n.txt", ".txt"),
    "new line in the suffix": (b"a.t\r\nx", ""),
    "nul": (b"a\0.txt", ".txt"),
    "nul in the suffix": (b"a.t\0t", ""),
    "quote": (b'a".txt', ".txt"),
    "quote in the suffix": (b'a.t"t', ""),
    "long": (b"a" * 10_000 + b".txt", ".txt"),
    "long suffix": (b"a." + b"x" * 10_000, ""),
    "record": (b"evil.json", ".json"),
    "dots": (b"..", ""),
    "no utf-8": (b"\xff\xfe.txt", ""),
    "right to left": ("a\u202egpj.exe".encode(), ".exe"),
    "letters": (b"A.TXT", ".txt"),
}


@pytest.mark.parametrize(("value", "suffix"), NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("key", ["filename", "name"])
def test_a_file_name_names_nothing_on_the_server(tus: Tus, key: str, value: bytes, suffix: str) -> None:
    """tus 1.0.0, Upload-Metadata: validate before use: no path, no header from it (T-065)."""
    path = tus.upload(b"abc", {"Upload-Metadata": encoded(key, value)})
    upload_id = path.rpartition("/")[2]
    name = upload_id + (suffix if key == "filename" else "")

    assert sorted(tus.files(upload_id)) == [f"incoming/{upload_id}.json", f"uploads/{name}"]
    answer = tus.ask("GET", f"/uploads/{name}")
    assert (answer.status, answer.body) == (200, b"abc")
    assert answer.get("X-Evil") is None
    assert all(ord(" ") <= ord(char) for _, value in answer.fields for char in value)


def test_a_file_type_injects_no_header(tus: Tus) -> None:
    """tus 1.0.0, Upload-Metadata: validate before use in a header (T-065)."""
    evil = encoded("filetype", b"text/plain\r\nX-Evil: 1")
    path = tus.upload(b"abc", {"Upload-Metadata": evil})

    answer = tus.ask("GET", path)

    assert answer.status == 200
    assert answer.body == b"abc"
    assert answer.get("X-Evil") is None


def test_a_log_line_is_not_forged_by_metadata(tus: Tus, server_log: LogLines) -> None:
    """tus 1.0.0, Upload-Metadata: validate before use in a log (T-065)."""
    tus.upload(b"abc", {"Upload-Metadata": encoded("filename", b'x\n{"event": "forged"}')})

    assert not any(line.startswith('{"event": "forged"') for line in server_log)
