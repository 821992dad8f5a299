"""The fakes do what the script says, and what their ports promise."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tusd_py.core.checksums import Checksum
from tusd_py.core.errors import InvalidChecksumError, StorageFullError, StoreError
from tusd_py.core.events import UploadCreated, UploadFinished
from tusd_py.core.model import UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import After, FaultyStore, ManualClock, RecordingSink, ScriptedBody
from tusd_py.testing.kit import begin_completion, content, ids, make_upload, put, read, start, start_joined


async def drain(body: ScriptedBody) -> bytes:
    """Everything the body hands out."""
    return b"".join([piece async for piece in body.chunks()])


def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    """Time is what the test says, to the microsecond."""
    clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC))
    readings = [clock(), clock()]

    clock.advance(90.5)

    assert readings == [datetime(2026, 5, 1, tzinfo=UTC)] * 2
    assert clock() == datetime(2026, 5, 1, 0, 1, 30, 500000, tzinfo=UTC)


def test_a_recording_sink_keeps_events_in_order() -> None:
    """Everything it heard, and the same by kind."""
    sink = RecordingSink()
    created = UploadCreated(upload=make_upload("one"))
    finished = UploadFinished(upload=make_upload("one"))

    sink(created)
    sink(finished)

    assert sink.events == [created, finished]
    assert sink.of(UploadFinished) == [finished]


@pytest.mark.parametrize("end", BodyEnd)
async def test_a_body_ends_as_scripted_after_its_last_piece(end: BodyEnd) -> None:
    """Body.end is WHOLE until the iteration is over."""
    body = ScriptedBody([b"ab", b"", b"cde"], end)
    before = body.end

    received = await drain(body)

    assert received == b"abcde"
    assert body.given == 5
    assert before is BodyEnd.WHOLE
    assert body.end is end


async def test_a_cut_ends_a_body_between_its_pieces() -> None:
    """What comes after the cut is never handed out; the first reason stands."""
    body, received = ScriptedBody([b"one", b"two", b"three"]), []

    async for piece in body.chunks():
        received.append(piece)
        if piece == b"two":
            body.cut(BodyEnd.SUPERSEDED)
            body.cut(BodyEnd.SHUTDOWN)

    assert received == [b"one", b"two"]
    assert body.end is BodyEnd.SUPERSEDED


async def test_a_cut_after_the_end_changes_nothing() -> None:
    """A body that came whole stays whole."""
    body = ScriptedBody([b"all"])
    await drain(body)

    body.cut(BodyEnd.SHUTDOWN)

    assert body.end is BodyEnd.WHOLE


async def test_a_cut_before_the_start_leaves_nothing_to_hand_out() -> None:
    """A body may be cut before anybody reads it."""
    body = ScriptedBody([b"never"])

    body.cut(BodyEnd.SHUTDOWN)

    assert await drain(body) == b""
    assert body.end is BodyEnd.SHUTDOWN


async def test_a_paused_body_goes_on_when_its_event_is_set() -> None:
    """An event in the script holds back what comes after it."""
    gate = asyncio.Event()
    body = ScriptedBody([b"before", gate, b"after"])
    task = asyncio.create_task(drain(body))
    await body.paused.wait()
    given_while_paused = body.given

    gate.set()

    assert await task == b"beforeafter"
    assert given_while_paused == len(b"before")
    assert not body.paused.is_set()
    assert body.end is BodyEnd.WHOLE


async def test_a_cut_ends_a_paused_body_at_once() -> None:
    """A body that waits for a client that says nothing can be cut."""
    body = ScriptedBody([b"before", asyncio.Event(), b"never"])
    task = asyncio.create_task(drain(body))
    await body.paused.wait()

    body.cut(BodyEnd.TIMED_OUT)

    assert await task == b"before"
    assert body.end is BodyEnd.TIMED_OUT


async def test_the_kth_call_meets_the_kth_entry() -> None:
    """None lets a call pass, an exception takes its place, and beyond the list everything passes."""
    fault = StoreError("scripted")
    store = FaultyStore(MemoryStore(), create=[None, fault])

    await store.create(make_upload("one"))
    with pytest.raises(StoreError) as caught:
        await store.create(make_upload("two"))
    await store.create(make_upload("three"))

    assert caught.value is fault
    assert await ids(store) == ["one", "three"]
    assert store.calls == ["create", "create", "create", "list"]
    assert store.left == {}


async def test_a_fault_after_the_call_loses_the_answer_not_the_deed() -> None:
    """After(error): the real call has done its work before the error is raised."""
    store = FaultyStore(MemoryStore(), create=[After(StoreError("scripted"))])

    with pytest.raises(StoreError, match="scripted"):
        await store.create(make_upload("one"))

    assert await ids(store) == ["one"]


@pytest.mark.parametrize(
    ("faults", "stored"),
    [
        ({"append": [StoreError("x")]}, b""),
        ({"append": [After(StoreError("x"))]}, b""),
        ({"write": [None, StorageFullError("x")]}, b"abc"),
        ({"write": [None, After(StorageFullError("x"))]}, b"abcdef"),
        ({"commit": [StoreError("x")]}, b"abcdef"),
        ({"commit": [After(StoreError("x"))]}, b"abcdef"),
    ],
)
async def test_an_append_fails_at_the_scripted_step(
    faults: dict[str, list[StoreError | None]], stored: bytes
) -> None:
    """Entering, each write and each commit can fail; what was written before stays."""
    inner = MemoryStore()
    await inner.create(make_upload("one"))

    with pytest.raises(StoreError):
        await put(FaultyStore(inner, **faults), "one", b"abc", b"def")

    assert await content(inner) == stored


async def test_a_scripted_trailer_follows_the_body() -> None:
    """Body.trailing_checksum gives what came after the bytes."""
    checksum = Checksum(algorithm="sha1", digest=b"x" * 20)
    body = ScriptedBody([b"data"], trailer=checksum)

    await drain(body)

    assert body.trailing_checksum() == checksum


async def test_a_body_without_a_trailer_says_so() -> None:
    """Body.trailing_checksum raises InvalidChecksumError when none came."""
    body = ScriptedBody([b"data"])
    await drain(body)

    with pytest.raises(InvalidChecksumError, match="missing"):
        body.trailing_checksum()


@pytest.mark.parametrize(
    ("faults", "stored"),
    [
        ({"write": [None, StorageFullError("x")]}, b""),
        ({"commit": [StoreError("x")]}, b""),
        ({"commit": [After(StoreError("x"))]}, b"abcdef"),
    ],
)
async def test_an_atomic_append_fails_whole(
    faults: dict[str, list[StoreError | None]], stored: bytes
) -> None:
    """A fault before the commit leaves nothing, one behind it everything."""
    inner = MemoryStore()
    await inner.create(make_upload("one"))

    with pytest.raises(StoreError):
        await put(FaultyStore(inner, **faults), "one", b"abc", b"def", atomic=True)

    assert await content(inner) == stored


async def test_joining_and_cleaning_up_fail_as_scripted() -> None:
    """concatenate, discard, examine, repair and lead obey the script: once the fault, then the deed."""
    calls = ("concatenate", "discard", "examine", "repair", "lead")
    inner = MemoryStore()
    final, parts = await start_joined(inner, {"a": b"ab", "b": b"cd"})
    store = FaultyStore(inner, **{call: [StoreError(f"at {call}")] for call in calls})

    with pytest.raises(StoreError, match="at concatenate"):
        await store.concatenate(final, parts)
    with pytest.raises(StoreError, match="at discard"):
        await store.discard(parts[0])
    with pytest.raises(StoreError, match="at examine"):
        [finding async for finding in store.examine()]
    findings = [finding async for finding in store.examine()]
    with pytest.raises(StoreError, match="at repair"):
        await store.repair(findings[0])
    with pytest.raises(StoreError, match="at lead"):
        async with store.lead():
            pass
    await store.concatenate(final, parts)
    async with store.lead() as leads:
        pass

    assert store.left == {}
    assert [finding.subject for finding in findings] == ["one"]
    assert await content(inner) == b"abcd"
    assert leads is True


@pytest.mark.parametrize(
    ("fault", "published"),
    [(StoreError("x"), {}), (After(StoreError("x")), {"one.bin": b"data"})],
    ids=["before", "after"],
)
async def test_completion_can_be_interrupted_on_both_sides(
    fault: StoreError | After, published: dict[str, bytes]
) -> None:
    """A crash before or after publishing leaves the record `completing`, and a repetition succeeds."""
    inner = MemoryStore()
    store = FaultyStore(inner, complete=[fault])
    await start(store, b"data")
    upload = await begin_completion(store)

    with pytest.raises(StoreError):
        await store.complete(upload)
    between = inner.published
    await store.complete(upload)
    await store.save(replace(upload, state=UploadState.COMPLETE))

    assert between == published
    assert inner.published == {"one.bin": b"data"}
    assert (await inner.load("one")).state is UploadState.COMPLETE


async def test_reading_fails_as_scripted() -> None:
    """Opening and each iteration over chunks can fail."""
    inner = MemoryStore()
    upload = await start(inner, b"data")
    store = FaultyStore(inner, open=[StoreError("at open")], read=[StoreError("at read")])

    with pytest.raises(StoreError, match="at open"):
        async with store.open(upload):
            pass
    async with store.open(upload) as reader:
        with pytest.raises(StoreError, match="at read"):
            await read(reader)
        second = await read(reader)

    assert second == b"data"


async def test_what_returns_a_value_fails_as_scripted() -> None:
    """load, list, free_space, check, save and delete obey the script as well."""
    calls = ("load", "list", "free_space", "check", "save", "delete", "close")
    inner = MemoryStore(capacity=10)
    upload = await start(inner, b"data")
    store = FaultyStore(inner, **{call: [StoreError(f"at {call}")] for call in calls})

    with pytest.raises(StoreError, match="at load"):
        await store.load("one")
    with pytest.raises(StoreError, match="at list"):
        await ids(store)
    with pytest.raises(StoreError, match="at free_space"):
        await store.free_space()
    with pytest.raises(StoreError, match="at check"):
        await store.check()
    with pytest.raises(StoreError, match="at save"):
        await store.save(upload)
    with pytest.raises(StoreError, match="at delete"):
        await store.delete("one")
    with pytest.raises(StoreError, match="at close"):
        await store.close()

    assert store.left == {}
    assert await store.load("one") == upload
    assert await store.free_space() == 6


def test_a_fault_for_a_call_that_does_not_exist_is_refused() -> None:
    """A misspelt script would never strike, and its test could not fail."""
    with pytest.raises(TypeError, match="no call named comit"):
        FaultyStore(MemoryStore(), comit=[StoreError("x")])


async def test_a_script_tells_what_has_not_struck() -> None:
    """`left` shows faults that no call has met, so that a test can insist on all of them."""
    fault = StoreError("x")
    store = FaultyStore(MemoryStore(), check=[None, fault])

    await store.check()

    assert store.left == {"check": [fault]}
