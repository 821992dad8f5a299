"""Store checks: joining partial uploads into a final one (tus 1.0.0, Concatenation)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tusd_py.core.errors import TusdError, UploadGoneError, UploadNotFoundError
from tusd_py.core.model import UploadKind, UploadState
from tusd_py.testing.kit import (
    begin_completion,
    complete_part,
    content,
    finish,
    make_upload,
    refuses,
    sample,
    start,
    start_joined,
)

if TYPE_CHECKING:
    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Store
    from tusd_py.testing.kit import OpenAgain, StoreCheck

PARTS = {"a": sample(1000, 1), "b": sample(70_001, 2), "c": sample(3, 3)}


async def the_join_keeps_the_order(open_again: OpenAgain) -> None:
    """The parts' bytes follow one another as they are named, not as they were created."""
    store = open_again()
    final, parts = await start_joined(store, PARTS, "c", "a", "b")

    await _join(store, final, parts)

    await _is_whole(open_again, PARTS["c"] + PARTS["a"] + PARTS["b"])


async def a_part_may_be_repeated(open_again: OpenAgain) -> None:
    """A part named several times is there as often; each time in its place."""
    store = open_again()
    final, parts = await start_joined(store, PARTS, "a", "b", "a", "a")

    await _join(store, final, parts)

    await _is_whole(open_again, PARTS["a"] + PARTS["b"] + PARTS["a"] * 2)


async def empty_parts_join_to_nothing_between(open_again: OpenAgain) -> None:
    """Parts of length 0 add nothing, at the beginning, in the middle and at the end."""
    store = open_again()
    given = {"x": b"", "a": PARTS["a"], "y": b"", "c": PARTS["c"], "z": b""}
    final, parts = await start_joined(store, given)

    await _join(store, final, parts)

    await _is_whole(open_again, PARTS["a"] + PARTS["c"])


async def only_empty_parts_join_to_an_empty_file(open_again: OpenAgain) -> None:
    """A final of length 0 is complete and published like any other."""
    store = open_again()
    final, parts = await start_joined(store, {"x": b"", "y": b""})

    await _join(store, final, parts)

    await _is_whole(open_again, b"")


async def large_parts_are_joined_to_the_byte(open_again: OpenAgain) -> None:
    """Parts of several MiB with odd sizes leave no gap, overlap or rounding."""
    store = open_again()
    given = {"a": sample(5_000_011, 1), "b": sample(3_145_729, 2)}
    final, parts = await start_joined(store, given, "b", "a")

    await _join(store, final, parts)

    await _is_whole(open_again, given["b"] + given["a"])


async def a_join_may_be_repeated(open_again: OpenAgain) -> None:
    """Before, between and after `complete` another join changes nothing, from whatever handle."""
    store, expected = open_again(), b"".join(PARTS.values())
    final, parts = await start_joined(store, PARTS)

    await store.concatenate(final, parts)
    await open_again().concatenate(await open_again().load("one"), parts)
    joined = await store.load("one")
    await store.complete(final)
    await open_again().concatenate(await open_again().load("one"), parts)
    await open_again().complete(final)
    await store.save(replace(final, state=UploadState.COMPLETE))
    await open_again().concatenate(await open_again().load("one"), parts)

    assert (joined.offset, joined.state) == (len(expected), UploadState.COMPLETING)
    await _is_whole(open_again, expected)


async def the_parts_stay_as_they_are(open_again: OpenAgain) -> None:
    """Joined parts keep record and bytes, and survive the removal of what was made of them."""
    store = open_again()
    final, parts = await start_joined(store, PARTS)
    await _join(store, final, parts)

    await store.delete("one")

    for part in parts:
        assert await open_again().load(part.id) == part
        assert await content(open_again(), part.id) == PARTS[part.id]


async def several_finals_share_a_part(open_again: OpenAgain) -> None:
    """A part may be joined into any number of finals; each is whole by itself."""
    store = open_again()
    final, parts = await start_joined(store, PARTS)
    await store.create(make_upload("two", length=1003, kind=UploadKind.FINAL, parts=("c", "a")))
    second = await begin_completion(store, "two")

    await _join(store, final, parts)
    await _join(store, second, [parts[2], parts[0]])
    await store.delete("one")

    assert await content(open_again(), "two") == PARTS["c"] + PARTS["a"]


async def a_final_outlives_its_parts(open_again: OpenAgain) -> None:
    """Once it is complete, removing the parts costs it nothing."""
    store = open_again()
    final, parts = await start_joined(store, PARTS)
    await _join(store, final, parts)

    for part in parts:
        await store.delete(part.id)

    await _is_whole(open_again, b"".join(PARTS.values()))


async def a_lost_part_is_told(open_again: OpenAgain) -> None:
    """UploadGoneError for the final, not for the part, and nothing half joined counts as complete."""
    store = open_again()
    final, parts = await start_joined(store, PARTS)
    await store.delete("b")

    with refuses(UploadGoneError, "joining a part that is gone"):
        await store.concatenate(final, parts)

    assert (await open_again().load("one")).state is UploadState.COMPLETING
    assert await content(open_again(), "a") == PARTS["a"]


async def a_lost_part_does_not_undo_a_published_final(open_again: OpenAgain) -> None:
    """Repeated after `complete`, a join whose parts are gone leaves the published file as it is."""
    store = open_again()
    final, parts = await start_joined(store, PARTS)
    await store.concatenate(final, parts)
    await store.complete(final)
    for part in parts:
        await store.delete(part.id)

    await open_again().concatenate(final, parts)
    await store.save(replace(final, state=UploadState.COMPLETE))

    await _is_whole(open_again, b"".join(PARTS.values()))


async def joining_an_unknown_final_is_refused(open_again: OpenAgain) -> None:
    """An id that is not on record gets no bytes, and no upload comes of it."""
    store = open_again()
    part = await complete_part(store, "a", PARTS["a"])
    stranger = make_upload("stranger", length=1000, kind=UploadKind.FINAL, parts=("a",))

    with refuses(TusdError, "joining into an unknown id"):
        await store.concatenate(stranger, [part])

    with refuses(UploadNotFoundError, "load of an unknown id"):
        await open_again().load("stranger")


async def a_partial_is_never_published(open_again: OpenAgain) -> None:
    """tus 1.0.0, Concatenation: a partial completes and stays readable, but its name is not taken."""
    store = open_again()
    await start(store, b"partial", "one", name="same.bin", kind=UploadKind.PARTIAL)

    partial = await finish(store, "one")
    await open_again().complete(partial)
    await start(store, b"regular", "two", name="same.bin")
    await finish(store, "two")

    assert (partial.state, partial.offset) == (UploadState.COMPLETE, 7)
    assert await open_again().load("one") == partial
    assert await content(open_again(), "one") == b"partial"
    assert await content(open_again(), "two") == b"regular"


async def removing_a_partial_takes_no_published_file(open_again: OpenAgain) -> None:
    """A partial of the same name as a published file goes without it."""
    store = open_again()
    await start(store, b"partial", "one", name="same.bin", kind=UploadKind.PARTIAL)
    partial = await finish(store, "one")
    await start(store, b"regular", "two", name="same.bin")
    await finish(store, "two")

    await store.discard(partial)
    await store.delete("one")

    assert await content(open_again(), "two") == b"regular"


async def _join(store: Store, final: Upload, parts: list[Upload]) -> None:
    """Every step of a final's completion."""
    await store.concatenate(final, parts)
    await store.complete(final)
    await store.save(replace(final, state=UploadState.COMPLETE))


async def _is_whole(open_again: OpenAgain, data: bytes) -> None:
    """The final `one` is complete and exactly `data`."""
    loaded = await open_again().load("one")
    assert (loaded.state, loaded.kind) == (UploadState.COMPLETE, UploadKind.FINAL)
    assert (loaded.offset, loaded.length) == (len(data), len(data))
    assert await content(open_again()) == data


JOIN_CHECKS: tuple[StoreCheck, ...] = (
    the_join_keeps_the_order,
    a_part_may_be_repeated,
    empty_parts_join_to_nothing_between,
    only_empty_parts_join_to_an_empty_file,
    large_parts_are_joined_to_the_byte,
    a_join_may_be_repeated,
    the_parts_stay_as_they_are,
    several_finals_share_a_part,
    a_final_outlives_its_parts,
    a_lost_part_is_told,
    a_lost_part_does_not_undo_a_published_final,
    joining_an_unknown_final_is_refused,
    a_partial_is_never_published,
    removing_a_partial_takes_no_published_file,
)
