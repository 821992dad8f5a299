"""What is read off an upload, and how Upload-Metadata is understood."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tusd_py.core.model import (
    Delivery,
    InvalidMetadataError,
    Metadata,
    Upload,
    UploadKind,
    UploadState,
)
from tusd_py.testing.kit import make_upload

S, K = UploadState, UploadKind


def upload(kind: UploadKind, state: UploadState, offset: int, length: int | None) -> Upload:
    return replace(make_upload(kind=kind, length=length), state=state, offset=offset)


@pytest.mark.parametrize("kind", [K.REGULAR, K.PARTIAL])
@pytest.mark.parametrize(
    ("state", "offset", "length", "has_all", "awaits"),
    [
        (S.OPEN, 0, None, False, False),
        (S.OPEN, 5, None, False, False),
        (S.OPEN, 4, 5, False, False),
        (S.OPEN, 5, 5, True, True),
        (S.OPEN, 0, 0, True, True),
        (S.COMPLETING, 5, 5, True, True),
        (S.COMPLETE, 5, 5, True, False),
        (S.FAILED, 5, 5, True, False),
        (S.EXPIRED, 0, 5, False, False),
        (S.EXPIRED, 0, 0, True, False),
    ],
)
def test_all_bytes_and_what_follows(
    kind: UploadKind, *, state: UploadState, offset: int, length: int | None, has_all: bool, awaits: bool
) -> None:
    """Having every byte is measured, being complete is stored; in between somebody has to act."""
    subject = upload(kind, state, offset, length)

    assert (subject.has_all_bytes, subject.awaits_completion) == (has_all, awaits)
    assert not subject.is_waiting_final


@pytest.mark.parametrize(
    ("state", "length", "awaits", "waits"),
    [
        (S.OPEN, None, False, True),
        (S.OPEN, 5, False, True),
        (S.OPEN, 0, False, True),
        (S.COMPLETING, 5, True, False),
        (S.COMPLETE, 5, False, False),
        (S.FAILED, 5, False, False),
        (S.EXPIRED, 5, False, False),
    ],
)
def test_a_final_waits_for_its_partials(
    state: UploadState, length: int | None, awaits: bool, waits: bool
) -> None:
    """Its offset says nothing about them, so it never has all bytes by itself."""
    subject = upload(K.FINAL, state, length or 0, length)

    assert (subject.awaits_completion, subject.is_waiting_final) == (awaits, waits)
    assert not subject.has_all_bytes


@pytest.mark.parametrize("kind", UploadKind)
@pytest.mark.parametrize("state", UploadState)
def test_only_complete_files_are_published(kind: UploadKind, state: UploadState) -> None:
    """tus 1.0.0, Concatenation: a partial has no file of its own, however complete."""
    expected = state is S.COMPLETE and kind is not K.PARTIAL

    assert upload(kind, state, 5, 5).is_published is expected


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        ("", ()),
        ("  ", ()),
        ("flag", (("flag", b""),)),
        ("flag ", (("flag", b""),)),
        ("name aGk=", (("name", b"hi"),)),
        ("name aGk=,b AP8=", (("name", b"hi"), ("b", b"\x00\xff"))),
        (" name aGk= , flag ", (("name", b"hi"), ("flag", b""))),
        ("Name aGk=,name aGk=", (("Name", b"hi"), ("name", b"hi"))),
    ],
)
def test_metadata_is_read(raw: str, pairs: tuple[tuple[str, bytes], ...]) -> None:
    """tus 1.0.0, Upload-Metadata: keys with Base64 values, a value may be missing; the text is kept."""
    metadata = Metadata.parse(raw)

    assert metadata.pairs == pairs
    assert metadata.raw == raw.strip()


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("a aGk=,a aGk=", "more than once"),
        ("a,a", "more than once"),
        (",", "no key"),
        ("a aGk=,", "no key"),
        ("a aGk=,,b", "no key"),
        ("a aGk", "not Base64"),
        ("a aG-_", "not Base64"),
        ("a aGk= aGk=", "not Base64"),
        ("a é", "not Base64"),
        ("é aGk=", "printable ASCII"),
        ("a\x01 aGk=", "printable ASCII"),
    ],
)
def test_malformed_metadata_is_refused(raw: str, problem: str) -> None:
    """tus 1.0.0, Upload-Metadata: keys are unique, not empty and ASCII, values are Base64."""
    with pytest.raises(InvalidMetadataError, match=problem):
        Metadata.parse(raw)


def test_values_are_found_by_key() -> None:
    """Bytes as they came, text where they are UTF-8, None where there is nothing of the sort."""
    metadata = Metadata.parse("name aMOp,binary /w==,empty")

    assert metadata.get("name") == "hé".encode()
    assert [metadata.text(key) for key in ("name", "binary", "empty", "absent")] == ["hé", None, None, None]
    assert (metadata.get("empty"), metadata.get("absent")) == (b"", None)


@pytest.mark.parametrize(
    ("changes", "settled"),
    [
        ({}, True),
        ({"state": S.COMPLETING}, False),
        ({"state": S.FAILED}, False),
        ({"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, False),
        ({"deliveries": (Delivery(name="somebody"),)}, False),
        ({"kind": K.FINAL, "parts": ("a", "b")}, True),
        ({"kind": K.FINAL, "parts": ("form-a",)}, False),
        ({"kind": K.PARTIAL}, True),
    ],
)
def test_an_upload_is_settled_when_nobody_has_anything_left_to_do(
    changes: dict[str, Any], *, settled: bool
) -> None:
    """Complete, without an end, delivered, and rid of parts of its own."""
    complete = upload(K.REGULAR, S.COMPLETE, 5, 5)

    assert replace(complete, **changes).is_settled is settled
