"""The memory of bytes on their way: who gets how much, when, and what becomes of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_py.stores.s3_memory import SMALL, Budget, Rope
from tusd_py.testing.kit import sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Holder:
    """Gives back what it holds when memory is needed, if it was told to."""

    def __init__(self, size: int, *, yields: bool = True) -> None:
        self.budget = Budget(size, self._reclaim)
        self.asked: list[int] = []
        self.held = 0
        self.pressed = asyncio.Event()
        self._yields = yields

    async def _reclaim(self, needed: int) -> int:
        self.asked.append(needed)
        self.pressed.set()
        if not self._yields:
            return 0
        freed, self.held = self.held, 0
        self.budget.release(freed)
        return freed

    async def hold(self, size: int) -> None:
        """Take some and keep it until somebody needs it."""
        await self.budget.take(size)
        self.held += size


async def begun(request: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """A request that has got as far as it gets by itself."""
    task = asyncio.ensure_future(request())
    assert isinstance(task, asyncio.Task)
    await asyncio.sleep(0)
    return task


async def test_what_is_free_is_had_at_once() -> None:
    """To the last byte, and nobody is asked for any."""
    holder = Holder(100)

    await holder.budget.take(60)
    await holder.budget.take(40)

    assert (holder.budget.free, holder.asked) == (0, [])
    holder.budget.release(100)
    assert holder.budget.free == 100


async def test_who_waits_gets_what_others_let_go_of() -> None:
    """The one that is asked is told how much is missing, or a quarter of the budget where that is more."""
    holder = Holder(100)
    await holder.hold(90)

    await holder.budget.take(30)

    assert holder.asked[0] == 25
    assert holder.budget.free == 70
    await holder.budget.close()


async def test_memory_goes_out_in_the_order_of_asking() -> None:
    """A small request does not overtake a large one, which would wait for ever."""
    holder = Holder(100, yields=False)
    await holder.budget.take(50)
    order: list[str] = []

    async def take(name: str, size: int) -> None:
        await holder.budget.take(size)
        order.append(name)

    large = await begun(lambda: take("large", 80))
    small = await begun(lambda: take("small", 10))
    assert order == []
    holder.budget.release(50)
    await asyncio.gather(large, small)

    assert order == ["large", "small"]
    assert holder.budget.free == 10
    await holder.budget.close()


async def test_who_gives_up_makes_way_and_takes_nothing() -> None:
    """While it waits; those behind it go on at once if there is enough for them."""
    holder = Holder(100, yields=False)
    await holder.budget.take(50)
    large = await begun(lambda: holder.budget.take(80))
    small = await begun(lambda: holder.budget.take(10))

    large.cancel()
    await small

    assert holder.budget.free == 40
    await holder.budget.close()


async def test_who_gives_up_at_the_moment_it_gets_it_gives_it_back() -> None:
    """It was granted and not yet heard of."""
    holder = Holder(100, yields=False)
    await holder.budget.take(50)
    large = await begun(lambda: holder.budget.take(80))

    holder.budget.release(50)
    large.cancel()
    with pytest.raises(asyncio.CancelledError):
        await large

    assert holder.budget.free == 100
    await holder.budget.close()


async def test_more_than_there_is_counts_as_all() -> None:
    """So that it can be had at all; and what comes back does not make more than there was."""
    holder = Holder(100)

    await holder.budget.take(1000)
    assert holder.budget.free == 0
    holder.budget.release(1000)

    assert holder.budget.free == 100


async def test_pressure_lasts_as_long_as_somebody_waits() -> None:
    """It is asked again and again, and by nobody any more when all have what they need."""
    holder = Holder(100, yields=False)
    await holder.budget.take(100)
    waiting = await begun(lambda: holder.budget.take(10))
    for _ in range(2):
        holder.pressed.clear()
        await holder.pressed.wait()

    holder.budget.release(100)
    await waiting
    await holder.budget.close()
    asked = len(holder.asked)
    await holder.budget.take(50)

    assert len(holder.asked) == asked


@given(
    pieces=st.lists(st.integers(0, 30) | st.sampled_from([SMALL - 1, SMALL, SMALL + 1]), max_size=12),
    start=st.integers(0, 10**12),
    data=st.data(),
)
def test_a_rope_gives_back_what_was_put_in(pieces: list[int], start: int, data: st.DataObject) -> None:
    """Any range of it, also between two additions, and what was given out does not change with them."""
    rope = Rope(start)
    whole = b""
    given_out: list[tuple[list[memoryview], bytes]] = []
    for number, size in enumerate(pieces):
        piece = sample(size, number)
        rope.append(piece)
        whole += piece
        first = data.draw(st.integers(0, len(whole)))
        last = data.draw(st.integers(first, len(whole)))
        given_out.append((rope.between(start + first, start + last), whole[first:last]))

    assert (rope.start, rope.stop, len(rope)) == (start, start + len(whole), len(whole))
    assert b"".join(rope.between(start, rope.stop)) == whole
    assert all(b"".join(views) == expected for views, expected in given_out)
    assert rope.clear() == len(whole)
    assert (rope.start, rope.stop, rope.between(start, rope.stop)) == (rope.stop, rope.stop, [])


def test_small_pieces_are_put_together() -> None:
    """Else a client that sends byte by byte would take many times the memory that is counted."""
    rope = Rope(0)
    for _ in range(10 * SMALL // 64):
        rope.append(b"x" * 64)

    assert len(rope.between(0, rope.stop)) <= 11
