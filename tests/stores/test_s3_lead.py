"""Who cleans up a bucket: one at a time, and after a crash of that one soon another."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from tests.stores.gate import Gate
from tests.stores.s3_fake import FakeS3, Fault
from tusd_py.core.errors import StoreError
from tusd_py.stores.offload import Offload
from tusd_py.stores.s3_calls import Bucket
from tusd_py.stores.s3_lead import LEASE, RENEWALS, Lease, Times

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from types_boto3_s3 import S3Client

KEY = "ours/state/leader"
SPAN = LEASE.total_seconds()


class Hours:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._waiting: list[tuple[float, asyncio.Event]] = []
        self._asked = asyncio.Event()

    def times(self) -> Times:
        """For a lease."""
        return Times(now=self.now, passed=lambda: self._seconds, wait=self._wait)

    def now(self) -> datetime:
        """What everybody's clock says."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._seconds)

    async def _wait(self, seconds: float) -> None:
        over = asyncio.Event()
        self._waiting.append((self._seconds + seconds, over))
        self._asked.set()
        await over.wait()

    async def until_waiting(self) -> None:
        """Somebody waits for the next renewal: what came before is done."""
        await self._asked.wait()

    async def pass_renewal(self) -> None:
        """Let it come, once somebody waits for it."""
        await self._asked.wait()
        self._asked.clear()
        self.advance(SPAN / RENEWALS)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += seconds
        for at, over in self._waiting:
            if at <= self._seconds:
                over.set()


@asynccontextmanager
async def lease(server: FakeS3, hours: Hours) -> AsyncIterator[Lease]:
    """One process that may lead."""
    bucket = Bucket(cast("S3Client", server.client()), "bucket", checksums=True, extra={})
    calls = Offload(2, "test")
    try:
        yield Lease(bucket, KEY, calls, hours.times())
    finally:
        calls.close()


async def enter(lease: Lease) -> bool:
    """Whether it leads, for a moment."""
    async with lease.held() as leads:
        return leads


def until(server: FakeS3) -> datetime:
    """How long the lease is good for."""
    return datetime.fromisoformat(json.loads(server.objects[KEY].data)["until"])


def put(server: FakeS3, content: bytes) -> None:
    """Write the lease as somebody else."""
    server.client().put_object(Bucket="bucket", Key=KEY, Body=content)


async def test_one_leads_at_a_time_and_the_next_after_it() -> None:
    """A lease that is held is nobody else's; one that was given up is anybody's."""
    server, hours = FakeS3(), Hours()
    async with lease(server, hours) as one, lease(server, hours) as other:
        async with one.held() as leads, other.held() as too:
            assert (leads, too) == (True, False)
        assert KEY not in server.objects
        assert await enter(other)


async def test_two_that_claim_at_once_are_one_leader() -> None:
    """Both saw a free lease; the one whose write came second does not lead."""
    server, hours = FakeS3(), Hours()
    async with lease(server, hours) as one, lease(server, hours) as other:
        gate = Gate(server, "put_object")
        slow = asyncio.create_task(enter(one))
        await gate.reached()
        async with other.held() as leads:
            gate.open()
            assert leads
            assert await slow is False


async def test_a_killed_leader_blocks_no_longer_than_its_lease() -> None:
    """Nobody renews it: when it is over, the next one leads."""
    server, hours = FakeS3(), Hours()
    put(server, json.dumps({"token": "x", "until": (hours.now() + LEASE).isoformat()}).encode())
    async with lease(server, hours) as other:
        assert not await enter(other)
        hours.advance(SPAN - 1)
        assert not await enter(other)
        hours.advance(1)
        assert await enter(other)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b"{}", b'{"until": 5}', b'{"until": "soon"}', b'{"until": "2999-01-01"}'],
    ids=repr,
)
async def test_a_lease_that_cannot_be_read_is_over(content: bytes) -> None:
    """Whoever wrote it could not renew it."""
    server, hours = FakeS3(), Hours()
    put(server, content)
    async with lease(server, hours) as one, one.held() as leads:
        assert leads
        assert until(server) == hours.now() + LEASE


async def test_a_lease_is_renewed_while_the_block_lasts() -> None:
    """It never comes near its end, however long that is."""
    server, hours = FakeS3(), Hours()
    async with lease(server, hours) as one, lease(server, hours) as other, one.held():
        for _ in range(5):
            await hours.pass_renewal()
            await hours.until_waiting()
            assert until(server) == hours.now() + LEASE
            assert await enter(other) is False


@pytest.mark.parametrize("fault", ["lost", "twice"])
async def test_a_renewal_whose_answer_is_lost_is_one(fault: Fault) -> None:
    """What is there is ours: by its token now, by its ETag for the next renewal."""
    server, hours = FakeS3(), Hours()
    async with lease(server, hours) as one, one.held():
        for _ in range(3):
            server.strike = lambda operation, _: fault if operation == "put_object" else None
            await hours.pass_renewal()
            await hours.until_waiting()
            server.strike = lambda _operation, _number: None
            await hours.pass_renewal()
            await hours.until_waiting()
            assert until(server) == hours.now() + LEASE


async def test_a_claim_whose_answer_is_lost_is_one() -> None:
    """boto3 made it again and met its own write."""
    server, hours = FakeS3(), Hours()
    server.strike = lambda operation, _: "twice" if operation == "put_object" else None
    async with lease(server, hours) as one, one.held() as leads:
        assert leads


async def test_a_lease_that_cannot_be_renewed_ends_the_block_before_it_ends() -> None:
    """S3 does not answer: the block ends while nobody else can lead yet."""
    server, hours = FakeS3(), Hours()
    async with lease(server, hours) as one:

        async def lead() -> None:
            async with one.held():
                server.strike = lambda _operation, _number: "unreachable"
                await asyncio.Event().wait()

        leading = asyncio.create_task(lead())
        await hours.pass_renewal()
        await hours.pass_renewal()
        with pytest.raises(StoreError, match="lease"):
            await leading

    assert hours.now() < until(server)


@pytest.mark.parametrize("content", [b'{"token": "another", "until": "2999-01-01T00:00:00+00:00"}', None])
async def test_a_lease_that_somebody_else_took_ends_the_block_at_once(content: bytes | None) -> None:
    """It was over, or removed by hand, and so is the leading; the other's lease is left alone."""
    server, hours = FakeS3(), Hours()
    async with lease(server, hours) as one:

        async def lead() -> None:
            async with one.held():
                if content is None:
                    del server.objects[KEY]
                else:
                    put(server, content)
                await asyncio.Event().wait()

        leading = asyncio.create_task(lead())
        await hours.pass_renewal()
        with pytest.raises(StoreError, match="lease"):
            await leading

    assert (server.objects[KEY].data if content else server.objects.get(KEY)) == content


async def test_a_cancellation_is_not_lost_while_a_renewal_is_on_its_way() -> None:
    """The block ends by itself and waits for a call that hangs; who cancels then is obeyed."""
    server, hours = FakeS3(), Hours()
    ending, ended = asyncio.Event(), asyncio.Event()
    async with lease(server, hours) as one:

        async def lead() -> None:
            async with one.held():
                await ending.wait()
                ended.set()
            raise AssertionError("the cancellation was lost")

        leading = asyncio.create_task(lead())
        await hours.until_waiting()
        gate = Gate(server, "put_object")
        await hours.pass_renewal()
        await gate.reached()
        ending.set()
        await ended.wait()
        await asyncio.sleep(0)  # the block's end is waited for now

        leading.cancel()
        gate.open()

        with pytest.raises(asyncio.CancelledError):
            await leading


async def test_an_unreachable_storage_has_no_leader() -> None:
    """Nobody knows whether somebody leads."""
    server, hours = FakeS3(), Hours()
    server.strike = lambda _operation, _number: "unreachable"
    async with lease(server, hours) as one:
        with pytest.raises(StoreError):
            await enter(one)
