"""What a client that reads slowly is told in the end: everything, in few messages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tusd_py.core.errors import LiveProcessorError
from tusd_py.web.live_news import MAX_RESULTS, News


async def told(news: News) -> list[dict[str, Any]]:
    """All there is to say."""
    news.end()
    return [message async for message in news.messages()]


async def test_an_acknowledgement_replaces_the_one_before() -> None:
    """A client that does not read costs one message, however much it sends."""
    news = News(with_results=False)
    for offset in range(1, 1001):
        news.processed += 1
        news.acknowledge(offset)

    assert await told(news) == [{"offset": 1000, "chunks_processed": 1000}]


async def test_messages_keep_their_order() -> None:
    """What was to be told before a message of its own is told before it."""
    news = News(with_results=False)
    news.say({"url": "x"})
    news.acknowledge(7)
    news.say({"complete": True})

    assert await told(news) == [{"url": "x"}, {"offset": 7, "chunks_processed": 0}, {"complete": True}]


async def test_a_result_is_told_as_it_was() -> None:
    """What a processor goes on to do with an object that it has given away is its own business."""
    news, count = News(with_results=True), {"words": 1}
    await news.add_result(count)
    count["words"] = 2
    await news.add_result(count)
    count["words"] = object()  # type: ignore[assignment]

    assert [message["results"] for message in await told(news)] == [[{"words": 1}, {"words": 2}]]


async def test_results_are_told_once_and_in_order() -> None:
    """They come with the next acknowledgement; a failure is a message of its own behind it."""
    news = News(with_results=True)
    for result in ("one", None, {"two": [2]}):
        await news.add_result(result)
    news.fail(LiveProcessorError())
    news.say({"complete": True})
    news.acknowledge(7)

    first, failure, *rest = await told(news)
    assert first == {"offset": 0, "chunks_processed": 0, "results": ["one", None, {"two": [2]}]}
    assert failure["error"]["code"] == "ERR_LIVE_PROCESSOR"
    assert rest == [{"complete": True}, {"offset": 7, "chunks_processed": 0, "results": []}]


async def first_message(news: News) -> dict[str, Any]:
    """What is to be said first."""
    return await anext(news.messages())


@pytest.mark.parametrize("result", [b"bytes", float("nan"), {"a": object()}])
async def test_a_result_that_cannot_be_told_is_the_processor_s_fault(result: object) -> None:
    """JSON has no word for it (RFC 8259)."""
    with pytest.raises((TypeError, ValueError)):
        await News(with_results=True).add_result(result)


async def test_results_wait_for_a_client_that_does_not_read() -> None:
    """So many and no more are kept; the processor waits until they are told, or nobody is there."""
    news, added = News(with_results=True), 0

    async def produce() -> None:
        nonlocal added
        for number in range(3 * MAX_RESULTS):
            await news.add_result(number)
            added += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        messages = news.messages()
        first = await anext(messages)
        second = await anext(messages)
        kept = added
        news.stop_listening()

    assert first["results"] + second["results"] == list(range(len(first["results"] + second["results"])))
    assert kept <= len(first["results"] + second["results"]) + MAX_RESULTS
    assert added == 3 * MAX_RESULTS


async def test_who_listens_hears_at_once() -> None:
    """Nothing has to come after a message for it to be told."""
    news = News(with_results=False)

    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(first_message(news))
        await asyncio.sleep(0)
        news.acknowledge(7)

    assert hearing.result() == {"offset": 7, "chunks_processed": 0}
