"""Every "may it?" of an upload, as tables."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tusd_py.core import rules
from tusd_py.core.checksums import Checksum
from tusd_py.core.errors import (
    InsufficientSpaceError,
    InvalidChecksumError,
    InvalidConcatError,
    LengthExceededError,
    MaxSizeExceededError,
    UnsupportedChecksumError,
    UploadError,
    UploadExpiredError,
    UploadFailedError,
)
from tusd_py.core.intents import Concatenate, Create
from tusd_py.core.model import Lifetime, Limits, Metadata, Upload, UploadKind, UploadState
from tusd_py.core.rules import EXTENSIONS, Circumstances, public_name
from tusd_py.testing.kit import make_upload

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
FOREVER = Lifetime()
MORTAL = Lifetime(unfinished=HOUR)
S, K = UploadState, UploadKind
SHA1 = Checksum(algorithm="sha1", digest=b"x" * 20)
LIMITS = Limits(max_size=1000, checksum_algorithms=("sha1",))


def here(free_space: int | None = None) -> Circumstances:
    return Circumstances(upload_id="one", now=NOW, free_space=free_space)


def metadata(**values: str) -> Metadata:
    return Metadata.parse(",".join(f"{key} {b64encode(v.encode()).decode()}" for key, v in values.items()))


def create(length: int | None, *, body: int | None = None, is_partial: bool = False) -> Create:
    return Create(
        length=length,
        metadata=Metadata(),
        has_body=body is not None,
        body_length=body,
        is_partial=is_partial,
    )


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        ({}, ""),
        ({"filename": "a.txt"}, ".txt"),
        ({"filename": "A.TXT"}, ".txt"),
        ({"filename": "a.tar.gz"}, ".gz"),
        ({"filename": ".bashrc"}, ".bashrc"),
        ({"filename": "plain"}, ""),
        ({"filename": "dot."}, ""),
        ({"filename": "a.t/../../etc"}, ""),
        ({"filename": "a.t xt"}, ""),
        ({"filename": "a.tüt"}, ""),
        ({"filename": "a.txt\x00"}, ""),
        ({"filename": "a." + "x" * 16}, "." + "x" * 16),
        ({"filename": "a." + "x" * 17}, ""),
        ({"filetype": "image/png"}, ".png"),
        ({"filetype": "IMAGE/PNG; q=1"}, ".png"),
        ({"filetype": "no/such"}, ""),
        ({"filename": "a.mov", "filetype": "image/png"}, ".mov"),
        ({"filename": "plain", "filetype": "image/png"}, ".png"),
    ],
)
def test_a_name_is_the_id_with_a_harmless_suffix(values: dict[str, str], suffix: str) -> None:
    """Nothing in the metadata chooses a folder or another upload's name."""
    assert public_name("one", metadata(**values)) == "one" + suffix


def test_every_extension_is_one_that_a_filename_could_have() -> None:
    """The table of media types gives names of the same form."""
    assert all(public_name("i", metadata(filename="a" + ext)) == "i" + ext for ext in EXTENSIONS.values())


# -- creation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "body", "is_partial", "lifetime", "kind", "concat", "expires_at"),
    [
        (10, None, False, FOREVER, K.REGULAR, "", None),
        (None, None, False, MORTAL, K.REGULAR, "", NOW + HOUR),
        (0, None, False, replace(MORTAL, sliding=False), K.REGULAR, "", NOW + HOUR),
        (1000, 1000, True, FOREVER, K.PARTIAL, "partial", None),
        (10, 5, True, MORTAL, K.PARTIAL, "partial", NOW + HOUR),
        (10, 0, False, Lifetime(finished=HOUR), K.REGULAR, "", None),
    ],
)
def test_a_creation_is_planned(
    *,
    length: int | None,
    body: int | None,
    is_partial: bool,
    lifetime: Lifetime,
    kind: UploadKind,
    concat: str,
    expires_at: datetime | None,
) -> None:
    """tus 1.0.0, Creation and Concatenation: open, empty, of its kind, alive for the unfinished time."""
    planned = rules.plan_create(create(length, body=body, is_partial=is_partial), LIMITS, lifetime, here())

    assert planned == Upload(
        id="one",
        name="one",
        created_at=NOW,
        length=length,
        kind=kind,
        concat=concat,
        expires_at=expires_at,
    )


@pytest.mark.parametrize(
    ("length", "body", "free_space", "error"),
    [
        (1001, None, None, MaxSizeExceededError),
        (None, 1001, None, MaxSizeExceededError),
        (10, 11, None, LengthExceededError),
        (0, 1, None, LengthExceededError),
        (901, None, 1000, InsufficientSpaceError),
        (None, 901, 1000, InsufficientSpaceError),
        (0, None, 99, InsufficientSpaceError),
        (None, None, 0, InsufficientSpaceError),
    ],
)
def test_a_creation_is_refused(
    length: int | None, body: int | None, free_space: int | None, error: type[UploadError]
) -> None:
    """tus 1.0.0, Creation: 413 above Tus-Max-Size; no room beside the reserve, nothing is begun."""
    limits = replace(LIMITS, reserved_space=100)

    with pytest.raises(error):
        rules.plan_create(create(length, body=body), limits, FOREVER, here(free_space))


@pytest.mark.parametrize(("length", "free_space"), [(900, 1000), (0, 100), (None, 100), (1000, None)])
def test_a_creation_that_just_fits_is_taken(length: int | None, free_space: int | None) -> None:
    """The limits themselves are allowed."""
    limits = replace(LIMITS, reserved_space=100)

    assert rules.plan_create(create(length), limits, FOREVER, here(free_space)).length == length


@pytest.mark.parametrize(
    ("checksum", "error"),
    [
        (Checksum(algorithm="md5", digest=b"x" * 16), UnsupportedChecksumError),
        (Checksum(algorithm="sha1", digest=b"x" * 19), InvalidChecksumError),
    ],
)
def test_a_sum_nobody_can_verify_is_refused(checksum: Checksum, error: type[UploadError]) -> None:
    """tus 1.0.0, Checksum: 400 before the body is read."""
    with pytest.raises(error):
        rules.plan_create(replace(create(10, body=1), checksum=checksum), LIMITS, FOREVER, here())


# -- joins ----------------------------------------------------------------------------------------


def part(
    part_id: str,
    length: int | None,
    state: UploadState = S.COMPLETE,
    expires_at: datetime | None = None,
) -> Upload:
    made = make_upload(part_id, length=length, kind=K.PARTIAL, expires_at=expires_at)
    return replace(made, state=state, offset=length or 0)


def plan_join(
    *parts: Upload, lifetime: Lifetime = FOREVER, limits: Limits = LIMITS, free: int | None = None
) -> Upload:
    ids = tuple(upload.id for upload in parts)
    intent = Concatenate(parts=ids, concat="final;as it came", metadata=metadata(filename="a.txt"))
    return rules.plan_concatenate(intent, parts, limits, lifetime, here(free))


@pytest.mark.parametrize(
    ("parts", "length"),
    [
        ([part("a", 5)], 5),
        ([part("a", 5), part("b", 0), part("a", 5)], 10),
        ([part("a", 0)], 0),
        ([part("a", 5), part("b", 7, S.OPEN)], 12),
        ([part("a", 5), part("b", 7, S.COMPLETING)], 12),
        ([part("a", 5), part("b", None, S.OPEN)], None),
        ([part("a", 1000)], 1000),
    ],
)
def test_a_join_is_planned(parts: list[Upload], length: int | None) -> None:
    """tus 1.0.0, Concatenation: its length is the sum of its partials', as soon as that can be said."""
    planned = plan_join(*parts, lifetime=MORTAL)

    assert planned == Upload(
        id="one",
        name="one.txt",
        created_at=NOW,
        length=length,
        metadata=metadata(filename="a.txt"),
        kind=K.FINAL,
        concat="final;as it came",
        parts=tuple(upload.id for upload in parts),
        expires_at=NOW + HOUR,
    )


@pytest.mark.parametrize(
    ("parts", "free", "error"),
    [
        ([make_upload("a", length=5)], None, InvalidConcatError),
        ([part("a", 5), make_upload("b", kind=K.FINAL)], None, InvalidConcatError),
        ([part("a", 5, S.EXPIRED)], None, UploadExpiredError),
        ([part("a", 5, expires_at=NOW)], None, UploadExpiredError),
        ([part("a", 5, S.FAILED)], None, UploadFailedError),
        ([part("a", 600), part("b", 401)], None, MaxSizeExceededError),
        ([part("a", 600), part("b", 401, S.OPEN)], None, MaxSizeExceededError),
        ([part("a", 600), part("a", 600)], None, MaxSizeExceededError),
        ([part("a", 1001), part("b", None, S.OPEN)], None, MaxSizeExceededError),
        ([part("a", 5), part("b", 6)], 10, InsufficientSpaceError),
    ],
)
def test_a_join_is_refused(parts: list[Upload], free: int | None, error: type[UploadError]) -> None:
    """Only living partials are joined, and the sum obeys the limits of any upload."""
    with pytest.raises(error):
        plan_join(*parts, free=free)


@pytest.mark.parametrize(
    ("sliding", "ends", "expected"),
    [
        (True, [NOW, NOW + 3 * HOUR], NOW + 3 * HOUR),
        (True, [NOW, NOW], NOW + HOUR),
        (True, [None], NOW + HOUR),
        (False, [NOW + 3 * HOUR], NOW + HOUR),
    ],
)
def test_a_waiting_final_has_the_time_of_its_partials(
    sliding: bool, ends: list[datetime | None], expected: datetime
) -> None:
    """It must not expire while bytes of what it waits for arrive."""
    lifetime = Lifetime(unfinished=HOUR, sliding=sliding)
    parts = [replace(part("a", 5, S.OPEN), expires_at=moment) for moment in ends]
    final = plan_join(*(replace(p, expires_at=None) for p in parts), lifetime=lifetime)

    assert rules.after_partials(final, parts, lifetime).expires_at == expected
