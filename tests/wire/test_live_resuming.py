"""Live audio, between a client and the running server: going on, and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import Exchange, create, offset_of, patch, published_digest, wait_until_stored
from tests.support.live import connecting
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess, fetch, head

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveClient

DATA = make_bytes(60_000, seed=57)


async def send_up_to(client: LiveClient, offset: int) -> None:
    """Send DATA from where the client is up to `offset`, and wait until it is stored."""
    await client.send(DATA[client.acknowledged : offset])
    await client.stored(offset)


async def begin(open_server: ServerProcess, offset: int) -> tuple[str, str]:
    """The id and the URL of a live upload that was left at `offset`."""
    async with connecting(open_server.origin) as client:
        greeting = await client.greet()
        await send_up_to(client, offset)
    return greeting["file_uuid"], greeting["url"]


async def test_who_comes_back_goes_on_where_the_server_is(open_server: ServerProcess) -> None:
    """With the right offset bytes may follow the greeting at once, or even come before it."""
    upload_id, url = await begin(open_server, 20_000)

    async with connecting(open_server.origin, {"id": upload_id, "offset": 20_000}) as client:
        await client.send(DATA[20_000:])
        greeting = await client.greet()
        await client.stored(len(DATA))
        await client.finish()

    assert greeting == {"url": url, "file_uuid": upload_id, "offset": 20_000}
    assert published_digest(open_server, url) == sha256(DATA)


@pytest.mark.parametrize("offset", [None, 0, 1, 19_999])
async def test_who_knows_of_less_hears_the_true_offset_and_confirms_it(
    open_server: ServerProcess, offset: int | None
) -> None:
    """The last acknowledgements were lost: nothing is sent twice once the client has said where it is."""
    upload_id, url = await begin(open_server, 20_000)
    query: dict[str, str | int] = {"id": upload_id}
    if offset is not None:
        query["offset"] = offset

    async with connecting(open_server.origin, query) as client:
        assert (await client.greet())["offset"] == 20_000
        await client.socket.send_json({"offset": 20_000})
        await send_up_to(client, len(DATA))
        await client.finish()

    assert published_digest(open_server, url) == sha256(DATA)


@pytest.mark.parametrize("said", ["bytes", "the end", "another offset"])
async def test_bytes_of_which_nobody_knows_where_they_belong_are_not_taken(
    open_server: ServerProcess, said: str
) -> None:
    """Sent before the greeting was heard, they would begin at the client's offset, not at ours."""
    upload_id, url = await begin(open_server, 20_000)

    async with connecting(open_server.origin, {"id": upload_id, "offset": 10_000}) as client:
        if said == "bytes":
            await client.send(DATA[10_000:])
        else:
            await client.socket.send_json({"complete": True} if said == "the end" else {"offset": 10_000})
        assert (await client.greet())["offset"] == 20_000
        refusal = await client.refusal()

    assert refusal == ("ERR_MISMATCHED_OFFSET", 1008)
    assert client.said[-1]["offset"] == offset_of(url) == 20_000


async def test_who_knows_of_more_is_refused(open_server: ServerProcess) -> None:
    """The server never acknowledged that; it says how far it is."""
    upload_id, url = await begin(open_server, 20_000)

    async with connecting(open_server.origin, {"id": upload_id, "offset": 20_001}) as client:
        refusal = await client.refusal()

    assert refusal == ("ERR_MISMATCHED_OFFSET", 1008)
    assert client.said == [{"error": client.said[0]["error"], "offset": 20_000}]
    assert offset_of(url) == 20_000


async def test_an_offset_in_between_is_checked(open_server: ServerProcess) -> None:
    """A client that counts along finds out at once that a byte is missing, and loses none."""
    async with connecting(open_server.origin) as client:
        url = (await client.greet())["url"]
        await client.send(DATA[:20_000])
        await client.socket.send_json({"offset": 20_000})
        await client.send(DATA[20_000:30_000])
        await client.socket.send_json({"offset": 30_001, "complete": True})
        refusal = await client.refusal()

    assert refusal == ("ERR_MISMATCHED_OFFSET", 1008)
    assert client.said[-1]["offset"] == offset_of(url) == 30_000


async def test_a_patch_takes_over_and_the_socket_comes_back(open_server: ServerProcess) -> None:
    """tus 1.0.0, PATCH: the newer request gets the upload; the socket is told, and so is what is kept."""
    async with connecting(open_server.origin) as client:
        greeting = await client.greet()
        await send_up_to(client, 20_000)
        answer = patch(greeting["url"], 20_000, DATA[20_000:30_000])
        refusal = await client.refusal()

    async with connecting(open_server.origin, {"id": greeting["file_uuid"], "offset": 30_000}) as back:
        await back.greet()
        await back.send(DATA[30_000:])
        await back.finish()

    assert (answer.status, answer.headers["upload-offset"]) == (204, "30000")
    assert refusal == ("ERR_UPLOAD_INTERRUPTED", 4423)
    assert client.said[-1]["offset"] == 20_000
    assert published_digest(open_server, greeting["url"]) == sha256(DATA)


async def test_a_socket_takes_over_from_a_patch(open_server: ServerProcess) -> None:
    """What had come by then is kept, and the greeting tells how much that is."""
    url = create(open_server.url, None)
    with Exchange.patch(url, 0, len(DATA)) as request:
        request.send(DATA[:20_000])
        wait_until_stored(open_server, url, 20_000)
        async with connecting(
            open_server.origin, {"id": url.rpartition("/")[2], "offset": 20_000}
        ) as client:
            greeting = await client.greet()
            interrupted = request.answer()
            await client.send(DATA[20_000:])
            await client.finish()

    assert greeting["offset"] == 20_000
    assert interrupted.status == 423
    assert published_digest(open_server, url) == sha256(DATA)


async def test_a_socket_takes_over_from_a_socket(open_server: ServerProcess) -> None:
    """A client that lost its connection does not wait until the server has noticed."""
    async with connecting(open_server.origin) as first:
        greeting = await first.greet()
        await send_up_to(first, 20_000)
        async with connecting(
            open_server.origin, {"id": greeting["file_uuid"], "offset": 20_000}
        ) as second:
            await second.greet()
            refusal = await first.refusal()
            await second.send(DATA[20_000:])
            await second.finish()

    assert refusal == ("ERR_UPLOAD_INTERRUPTED", 4423)
    assert published_digest(open_server, greeting["url"]) == sha256(DATA)


async def test_a_head_disturbs_no_socket(open_server: ServerProcess) -> None:
    """Neither one that sends nor one that is silent: it is there, and everything it sent is stored."""
    async with connecting(open_server.origin) as client:
        url = (await client.greet())["url"]
        offsets = [offset_of(url)]
        for offset in (10_000, 20_000):
            await send_up_to(client, offset)
            offsets += [offset_of(url) for _ in range(20)]
        await send_up_to(client, len(DATA))
        await client.finish()

    assert offsets == [0] + [10_000] * 20 + [20_000] * 20
    assert published_digest(open_server, url) == sha256(DATA)


async def test_a_patch_can_complete_what_a_socket_began(open_server: ServerProcess) -> None:
    """tus 1.0.0, Upload-Defer-Length: the PATCH states the length; the file has its usual name."""
    upload_id, url = await begin(open_server, 20_000)
    answer = patch(url, 20_000, DATA[20_000:], {"Upload-Length": str(len(DATA))})

    assert answer.headers["content-location"].endswith(f"/uploads/{upload_id}.webm")
    assert published_digest(open_server, url) == sha256(DATA)


async def test_a_socket_can_complete_what_a_post_began(open_server: ServerProcess) -> None:
    """Where the length is known the last byte completes, and is told when the file is there."""
    url = create(open_server.url, len(DATA))

    async with connecting(open_server.origin, {"id": url.rpartition("/")[2]}) as client:
        await client.greet()
        await client.send(DATA[:20_000], DATA[20_000:])
        result = await client.result()
        _, code = await client.end()

    told = [message["offset"] for message in client.said if not message.get("complete")]
    assert (result["offset"], code) == (len(DATA), 1000)
    assert max(told) < len(DATA)
    assert published_digest(open_server, url) == sha256(DATA)


async def test_an_end_that_contradicts_the_length_is_refused(open_server: ServerProcess) -> None:
    """tus 1.0.0, Creation: once set, the length does not change; the bytes are kept."""
    url = create(open_server.url, len(DATA))

    async with connecting(open_server.origin, {"id": url.rpartition("/")[2]}) as client:
        await client.send(DATA[:20_000])
        await client.socket.send_json({"complete": True})
        refusal = await client.refusal()

    assert refusal == ("ERR_INVALID_UPLOAD_LENGTH", 1008)
    assert offset_of(url) == 20_000


async def test_the_answer_to_the_end_can_be_had_again(open_server: ServerProcess) -> None:
    """It was lost with the connection: who comes back gets the greeting and the same answer."""
    async with connecting(open_server.origin) as client:
        await client.send(DATA)
        result = await client.finish()
    query = {"id": result["file_uuid"], "offset": len(DATA)}

    async with connecting(open_server.origin, query) as back:
        greeting = await back.greet()
        again = await back.result()
        _, code = await back.end()

    assert (greeting["offset"], again, code) == (len(DATA), result, 1000)


@pytest.mark.parametrize("concat", ["partial", "final"])
async def test_parts_are_not_for_sockets(open_server: ServerProcess, concat: str) -> None:
    """tus 1.0.0, Concatenation: they make no file by themselves, and a joined one takes no bytes."""
    url = create(open_server.url, 3, **{"Upload-Concat": "partial"})
    if concat == "final":
        fields = {"Tus-Resumable": "1.0.0", "Upload-Concat": f"final;{url}"}
        url = fetch(open_server.url, "POST", fields).headers["location"]

    async with connecting(open_server.origin, {"id": url.rpartition("/")[2]}) as client:
        refusal = await client.refusal()

    assert refusal == ("ERR_INVALID_MESSAGE", 1008)


async def test_a_server_that_goes_down_says_so(tmp_path: Path) -> None:
    """1001, after everything that came is stored; after the start the client goes on."""
    with ServerProcess(tmp_path / "store", "--network-timeout", "60s") as server:
        async with connecting(server.origin) as client:
            greeting = await client.greet()
            await send_up_to(client, 20_000)
            await client.send(DATA[20_000:30_000])
            exit_code = server.terminate()
            refusal = await client.refusal()
            told = client.said[-1]["offset"]
        server.start()
        url = f"{server.url}{greeting['file_uuid']}"
        assert offset_of(url) == told

        async with connecting(server.origin, {"id": greeting["file_uuid"], "offset": told}) as back:
            await back.greet()
            await back.send(DATA[told:])
            await back.finish()
        assert published_digest(server, url) == sha256(DATA)

    assert (exit_code, refusal) == (0, ("ERR_SERVER_SHUTDOWN", 1001))


async def test_a_terminated_upload_ends_its_socket(open_server: ServerProcess) -> None:
    """tus 1.0.0, Termination: DELETE takes over, and the socket cannot bring the upload back."""
    async with connecting(open_server.origin) as client:
        greeting = await client.greet()
        await send_up_to(client, 20_000)
        answer = fetch(greeting["url"], "DELETE", {"Tus-Resumable": "1.0.0"})
        await client.end()

    assert answer.status == 204
    assert head(greeting["url"]).status == 404
    assert open_server.traces(greeting["url"]) == []
