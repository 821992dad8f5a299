"""What may be appended to an upload, and for how long it lives, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tusd_py.core import rules
from tusd_py.core.checksums import Checksum, Promised
from tusd_py.core.errors import (
    FinalNotModifiableError,
    InvalidChecksumError,
    InvalidLengthError,
    LengthExceededError,
    MaxSizeExceededError,
    OffsetMismatchError,
    UnsupportedChecksumError,
    UploadError,
    UploadExpiredError,
    UploadFailedError,
)
from tusd_py.core.intents import Append
from tusd_py.core.model import Lifetime, Limits, Upload, UploadKind, UploadState
from tusd_py.testing.kit import make_upload

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
FOREVER = Lifetime()
MORTAL = Lifetime(unfinished=HOUR)
S, K = UploadState, UploadKind
SHA1 = Checksum(algorithm="sha1", digest=b"x" * 20)
MD5 = Checksum(algorithm="md5", digest=b"x" * 16)
LIMITS = Limits(max_size=1000, checksum_algorithms=("sha1",))


def append(
    offset: int,
    *,
    body: int | None = None,
    declared: int | None = None,
    checksum: Checksum | Promised | None = None,
) -> Append:
    return Append(
        upload_id="one", offset=offset, body_length=body, declared_length=declared, checksum=checksum
    )


def stored(
    offset: int, length: int | None, *, state: UploadState = S.OPEN, kind: UploadKind = K.REGULAR
) -> Upload:
    return replace(make_upload(length=length, kind=kind), offset=offset, state=state)


@pytest.mark.parametrize(
    ("upload", "intent", "limits", "room", "settled", "overrun"),
    [
        (stored(0, 10), append(0), LIMITS, 10, False, LengthExceededError),
        (stored(4, 10), append(4, body=6), LIMITS, 6, False, LengthExceededError),
        (stored(4, 10, kind=K.PARTIAL), append(4, body=0), LIMITS, 6, False, LengthExceededError),
        (stored(10, 10, state=S.COMPLETE), append(10, body=0), LIMITS, 0, False, LengthExceededError),
        (stored(4, None), append(4), LIMITS, 996, False, MaxSizeExceededError),
        (stored(1200, None), append(1200), LIMITS, 0, False, MaxSizeExceededError),
        (stored(4, None), append(4, body=10**9), Limits(), None, False, LengthExceededError),
        (stored(4, None), append(4, declared=10, body=6), LIMITS, 6, True, LengthExceededError),
        (stored(4, None), append(4, declared=4), LIMITS, 0, True, LengthExceededError),
        (stored(4, None), append(4, declared=1000), LIMITS, 996, True, LengthExceededError),
        (stored(4, 10), append(4, declared=10), LIMITS, 6, False, LengthExceededError),
        (stored(4, 10), append(4, checksum=SHA1), LIMITS, 6, False, LengthExceededError),
        (stored(4, 10), append(4, checksum=Promised.IN_TRAILER), LIMITS, 6, False, LengthExceededError),
    ],
)
def test_an_append_is_planned(
    *,
    upload: Upload,
    intent: Append,
    limits: Limits,
    room: int | None,
    settled: bool,
    overrun: type[UploadError],
) -> None:
    """How many bytes may come, what to say about more, and whether the length is news."""
    plan = rules.plan_append(upload, intent, limits, NOW)

    assert (plan.room, plan.length_settled, type(plan.overrun)) == (room, settled, overrun)
    assert plan.upload == replace(upload, length=intent.declared_length if settled else upload.length)


@pytest.mark.parametrize(
    ("upload", "intent", "error"),
    [
        (stored(4, 10), append(3), OffsetMismatchError),
        (stored(4, 10), append(5), OffsetMismatchError),
        (stored(4, 10), append(4, body=7), LengthExceededError),
        (stored(10, 10, state=S.COMPLETE), append(10, body=1), LengthExceededError),
        (stored(4, None), append(4, body=997), MaxSizeExceededError),
        (stored(4, 10), append(4, declared=11), InvalidLengthError),
        (stored(4, 10), append(4, declared=9), InvalidLengthError),
        (stored(4, None), append(4, declared=3), InvalidLengthError),
        (stored(4, None), append(4, declared=1001), MaxSizeExceededError),
        (stored(4, None), append(4, declared=10, body=7), LengthExceededError),
        (stored(4, 10, state=S.FAILED), append(4), UploadFailedError),
        (stored(0, 10, state=S.EXPIRED), append(0), UploadExpiredError),
        (stored(0, 10, kind=K.FINAL), append(0), FinalNotModifiableError),
        (stored(10, 10, kind=K.FINAL, state=S.COMPLETE), append(10), FinalNotModifiableError),
        (stored(4, 10), append(4, checksum=MD5), UnsupportedChecksumError),
        (stored(4, 10), append(4, checksum=replace(SHA1, digest=b"x" * 19)), InvalidChecksumError),
        # what is told first when several things are wrong
        (stored(0, 10, state=S.EXPIRED, kind=K.FINAL), append(3), UploadExpiredError),
        (stored(0, 10, kind=K.FINAL), append(3), FinalNotModifiableError),
        (stored(4, 10), append(3, declared=11), OffsetMismatchError),
        (stored(4, 10), append(3, checksum=MD5), OffsetMismatchError),
    ],
)
def test_an_append_is_refused(upload: Upload, intent: Append, error: type[UploadError]) -> None:
    """tus 1.0.0, PATCH, Creation and Concatenation: 409, 413, 400 or 403, before a byte is read."""
    with pytest.raises(error):
        rules.plan_append(upload, intent, LIMITS, NOW)


def test_a_mismatch_tells_both_offsets() -> None:
    """Errors carry facts: where the upload is, and where the request thought it was."""
    with pytest.raises(OffsetMismatchError) as caught:
        rules.plan_append(stored(4, 10), append(7), LIMITS, NOW)

    assert (caught.value.expected, caught.value.actual) == (4, 7)


def test_the_first_chunk_has_the_whole_room() -> None:
    """What a creation brings is planned like an append at 0."""
    plans = [rules.plan_first_chunk(stored(0, length), LIMITS) for length in (10, 0, None)]

    assert [plan.room for plan in plans] == [10, 0, 1000]
    assert not any(plan.length_settled for plan in plans)


# -- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "state", "offset", "since", "expected"),
    [
        (K.REGULAR, S.OPEN, 4, -TICK, False),
        (K.REGULAR, S.OPEN, 4, 0 * TICK, True),
        (K.REGULAR, S.OPEN, 4, TICK, True),
        (K.REGULAR, S.OPEN, 4, None, False),
        (K.REGULAR, S.OPEN, 10, HOUR, False),
        (K.REGULAR, S.COMPLETING, 10, HOUR, False),
        (K.REGULAR, S.COMPLETE, 10, -TICK, False),
        (K.REGULAR, S.COMPLETE, 10, 0 * TICK, True),
        (K.REGULAR, S.COMPLETE, 10, None, False),
        (K.REGULAR, S.FAILED, 10, TICK, True),
        (K.REGULAR, S.EXPIRED, 0, -HOUR, True),
        (K.REGULAR, S.EXPIRED, 0, None, True),
        (K.PARTIAL, S.OPEN, 10, HOUR, False),
        (K.PARTIAL, S.COMPLETE, 10, 0 * TICK, True),
        (K.FINAL, S.OPEN, 0, 0 * TICK, True),
        (K.FINAL, S.OPEN, 0, -TICK, False),
        (K.FINAL, S.COMPLETING, 0, HOUR, False),
        (K.FINAL, S.COMPLETE, 10, None, False),
    ],
)
def test_time_is_over_from_the_instant_on(
    kind: UploadKind, state: UploadState, offset: int, since: timedelta | None, expected: bool
) -> None:
    """tus 1.0.0, Expiration: before, at and after it; what has all its bytes gets to its end first."""
    upload = stored(offset, 10, state=state, kind=kind)
    upload = replace(upload, expires_at=None if since is None else NOW - since)

    assert rules.is_expired(upload, NOW) is expected


@pytest.mark.parametrize(
    ("upload", "error"),
    [
        (stored(4, 10, state=S.FAILED), UploadFailedError),
        (stored(0, 10, state=S.EXPIRED), UploadExpiredError),
        (replace(stored(4, 10), expires_at=NOW), UploadExpiredError),
        (replace(stored(4, 10, state=S.FAILED), expires_at=NOW), UploadFailedError),
    ],
)
def test_what_is_not_alive_is_refused(upload: Upload, error: type[UploadError]) -> None:
    """A veto at the end and the end of time are told apart."""
    with pytest.raises(error):
        rules.check_alive(upload, NOW)


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (FOREVER, NOW),
        (replace(MORTAL, sliding=False), NOW),
        (MORTAL, NOW + 2 * HOUR),
        (Lifetime(finished=HOUR), NOW),
    ],
)
def test_sliding_time_moves_with_an_append(lifetime: Lifetime, expected: datetime) -> None:
    """tus 1.0.0, Expiration: the time may change with every PATCH; it does when it slides."""
    upload = replace(stored(4, 10), expires_at=NOW)

    assert rules.after_append(upload, lifetime, NOW + HOUR) == replace(upload, expires_at=expected)


@pytest.mark.parametrize(
    ("kind", "lifetime", "expected"),
    [
        (K.REGULAR, FOREVER, None),
        (K.REGULAR, MORTAL, None),
        (K.REGULAR, Lifetime(unfinished=HOUR, finished=2 * HOUR), NOW + 2 * HOUR),
        (K.FINAL, MORTAL, None),
        (K.FINAL, Lifetime(finished=2 * HOUR), NOW + 2 * HOUR),
        (K.PARTIAL, FOREVER, NOW + TICK),
        (K.PARTIAL, MORTAL, NOW + TICK),
        (K.PARTIAL, Lifetime(unfinished=HOUR, finished=2 * HOUR), NOW + TICK),
    ],
)
def test_what_is_complete_stays_unless_told_otherwise(
    kind: UploadKind, lifetime: Lifetime, expected: datetime | None
) -> None:
    """A finished upload has the finished time or none; a partial is work in progress and keeps its own."""
    upload = replace(stored(10, 10, state=S.COMPLETING, kind=kind), expires_at=NOW + TICK)

    complete = rules.after_completion(upload, lifetime, NOW)

    assert complete == replace(upload, state=S.COMPLETE, expires_at=expected)


def test_a_length_that_the_storage_has_no_room_for_is_refused_when_it_is_declared() -> None:
    """The size of an upload's parts in S3 is fixed before its length is known: 10,000 hold so much."""
    limits = Limits(max_deferred=500)

    with pytest.raises(MaxSizeExceededError) as refusal:
        rules.plan_append(stored(4, None), append(4, declared=501), limits, NOW)
    plan = rules.plan_append(stored(4, None), append(4, declared=500), limits, NOW)

    assert refusal.value.max_size == 500
    assert plan.room == 496
