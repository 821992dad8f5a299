"""Each call that an upload makes to S3 fails once, in every way: the client goes on, the file is right."""

from __future__ import annotations

from itertools import count, product
from typing import TYPE_CHECKING

import pytest

from tests.faults.s3_travels import MIB, PART, Traveller, Trip, harbour
from tests.support import s3_faults
from tests.support.payload import Payload
from tests.support.s3_operations import Operation
from tests.support.s3_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.faults import Fault
    from tests.support.seaweed import SeaweedProcess

TRIPS = {
    "small": Trip(size=100_000),
    "small, with its creation": Trip(size=100_000, with_body=True),
    "small, in pieces": Trip(size=100_000, chunk=60_000),
    "nothing": Trip(size=0),
    "parts": Trip(size=PART + 1_000),
    "parts, in chunks": Trip(size=PART + MIB, chunk=4 * MIB, with_body=True),
    "parts, with checksums": Trip(size=PART + MIB, chunk=3 * MIB, checksum=True),
    "parts, length late": Trip(size=PART + MIB, chunk=PART, deferred=True),
    "many parts": Trip(size=3 * PART + 1_000),
}
FAULTS: dict[str, Callable[[int], Fault]] = {
    "refused": lambda nth: s3_faults.refuse(None, nth=nth),
    "cut": lambda nth: s3_faults.cut(None, 1, nth=nth),
    "answer lost": lambda nth: s3_faults.lose_response(None, nth=nth),
    "500": lambda nth: s3_faults.internal_error(None, nth=nth),
    "500, but done": lambda nth: s3_faults.internal_error(None, nth=nth, done=True),
    "503": lambda nth: s3_faults.slow_down(None, nth=nth),
}
OFTEN = [(trip, fault, 1 + at % 2) for trip in TRIPS if "small" in trip for at, fault in enumerate(FAULTS)]
OFTEN += [
    ("nothing", "refused", 1),
    ("nothing", "answer lost", 2),
    ("parts", "cut", 2),
    ("parts", "answer lost", 1),
    ("parts, with checksums", "answer lost", 2),
    ("many parts", "503", 1),
]
SELDOM = [
    (trip, fault, 1 + at % 2)
    for at, (trip, fault) in enumerate(product(TRIPS, FAULTS))
    if (trip, fault) not in {row[:2] for row in OFTEN}
]


async def strike_each_call(
    seaweed: SeaweedProcess, trip: Trip, fault: Callable[[int], Fault], *, servers: int, attempts: int = 1
) -> list[int]:
    """For every k an upload whose k-th call meets the fault; how often its client was let down.

    With two servers the client goes on at the other one after each failure. At the end nothing is left of
    what did not come to anything.
    """
    failures, uploads = [], []
    with S3FaultProxy("127.0.0.1", seaweed.port) as proxy:
        async with harbour(seaweed, proxy.origin, attempts=attempts) as place:
            engines = [place.server() for _ in range(servers)]
            for k in count(1):
                traveller = Traveller(place, engines, trip, Payload(size=trip.size, seed=k))
                proxy.script(fault(k))
                uploads.append(await traveller.arrive())
                if proxy.pending:
                    break
                failures.append(traveller.failures)
            await place.tidy_up()
            place.check_nothing_is_left(uploads)
    return failures


@pytest.mark.parametrize(("trip", "fault", "servers"), OFTEN)
async def test_any_call_may_fail(seaweed: SeaweedProcess, trip: str, fault: str, servers: int) -> None:
    """One failure lets a client down once at most; no offset falls, the file is right, nothing is left."""
    failures = await strike_each_call(seaweed, TRIPS[trip], FAULTS[fault], servers=servers)

    assert set(failures) <= {0, 1}
    assert 1 in failures


@pytest.mark.slow
@pytest.mark.parametrize(("trip", "fault", "servers"), SELDOM)
async def test_any_call_of_any_upload_may_fail_in_any_way(
    seaweed: SeaweedProcess, trip: str, fault: str, servers: int
) -> None:
    """The same for every other combination."""
    await test_any_call_may_fail(seaweed, trip, fault, servers)


@pytest.mark.parametrize("trip", ["small", "parts"])
async def test_a_repetition_that_meets_its_own_effect_is_no_failure(
    seaweed: SeaweedProcess, trip: str
) -> None:
    """boto3 repeats a call whose answer was lost, and is told 412, NoSuchUpload or the like: it was us."""
    fault = FAULTS["answer lost"]
    failures = await strike_each_call(seaweed, TRIPS[trip], fault, servers=1, attempts=2)

    assert set(failures) == {0}


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("done", [False, True], ids=["undone", "done"])
async def test_a_success_with_an_error_in_its_body_is_no_success(
    *, seaweed: SeaweedProcess, done: bool, attempts: int, servers: int
) -> None:
    """S3, CompleteMultipartUpload: 200 may end in <Error>, again and again; the end comes later."""
    trip = TRIPS["parts"]
    with S3FaultProxy("127.0.0.1", seaweed.port) as proxy:
        async with harbour(seaweed, proxy.origin, attempts=attempts) as place:
            engines = [place.server() for _ in range(servers)]
            complete = Operation.COMPLETE_MULTIPART_UPLOAD
            proxy.script(s3_faults.error_in_body(complete, times=4 * attempts, done=done))
            traveller = Traveller(place, engines, trip, Payload(size=trip.size, seed=1))
            upload = await traveller.arrive()
            await place.tidy_up()
            place.check_nothing_is_left([upload])

    # The store looks for itself before it says that it failed; once it is done, the object is there.
    assert len(proxy.fired) == (attempts if done else 4 * attempts)
    assert traveller.failures == (0 if done else 2)
