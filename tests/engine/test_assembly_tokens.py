"""--form-tokens: whoever began a file in chunks goes on with it, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.chunks import CHUNKS, FILE, Caller
from tests.engine.scene import Scene
from tusd_py.core.assembly import assembly_id
from tusd_py.core.errors import (
    BodyInterruptedError,
    UploadExistsError,
    UploadLockedError,
    UploadNotFoundError,
    WrongTokenError,
)
from tusd_py.core.outcomes import BodyEnd
from tusd_py.testing.kit import content, ids

OWN = "chosen-by-the-caller"


async def begun(scene: Scene) -> tuple[Caller, str]:
    """A file with one chunk, and its token."""
    caller = Caller(scene, tokens=True)
    token = await caller.put(0)
    assert token is not None
    return caller, token


async def test_the_first_answer_has_a_token_and_no_other() -> None:
    """It is told once; with it the other chunks and finalize are taken."""
    scene = Scene()
    caller, token = await begun(scene)

    others = [await caller.put(index, token=token) for index in (1, 2)]
    await caller.finalize(token=token)

    assert others == [None, None]
    assert await content(scene.store, FILE) == b"".join(CHUNKS)


@pytest.mark.parametrize("token", [None, "token-2", ""])
async def test_without_the_token_nothing_goes_on(token: str | None) -> None:
    """Chunks, repetitions and finalize, before and after it is there; nothing changes."""
    scene = Scene()
    caller, own = await begun(scene)
    before = await ids(scene.store)

    for index in (0, 1):
        with pytest.raises(WrongTokenError):
            await caller.put(index, token=token)
    with pytest.raises(WrongTokenError):
        await caller.finalize(token=token)
    assert await ids(scene.store) == before

    for index in (1, 2):
        await caller.put(index, token=own)
    await caller.finalize(token=own)
    with pytest.raises(WrongTokenError):
        await caller.finalize(token=token)
    with pytest.raises(UploadExistsError):
        await caller.put(0, token=token)
    assert (await caller.finalize(token=own)).id == FILE


async def test_of_parallel_first_chunks_one_begins_the_file() -> None:
    """Exactly one caller gets the token, the others are told that they are not that one."""
    scene = Scene()
    caller = Caller(scene, tokens=True)

    answers = await asyncio.gather(*(caller.put(index) for index in range(3)), return_exceptions=True)

    tokens = [answer for answer in answers if isinstance(answer, str)]
    assert len(tokens) == 1
    assert [type(answer) for answer in answers if not isinstance(answer, str)] == [WrongTokenError] * 2


async def test_a_token_that_the_caller_chose_lets_parallel_chunks_in() -> None:
    """It is not told back, and also survives that the first answer gets lost."""
    scene = Scene()
    caller = Caller(scene, tokens=True)

    answers = await asyncio.gather(*(caller.put(index, token=OWN) for index in range(3)))
    again = await caller.put(0, token=OWN)
    await caller.finalize(token=OWN)

    assert [*answers, again] == [None] * 4
    assert await content(scene.store, FILE) == b"".join(CHUNKS)


async def test_a_token_that_nobody_heard_dies_with_its_request() -> None:
    """The first chunk breaks off: its client begins anew, and is not locked out of its own file."""
    scene = Scene()
    caller = Caller(scene, tokens=True)

    with pytest.raises(BodyInterruptedError):
        await caller.put(0, b"x", end=BodyEnd.DISCONNECTED)
    left = await ids(scene.store)

    assert left == []
    assert await caller.put(0) is not None


async def test_a_chosen_token_stays_when_a_chunk_breaks_off() -> None:
    """Other chunks with it may be under way."""
    scene = Scene()
    caller = Caller(scene, tokens=True)

    with pytest.raises(BodyInterruptedError):
        await caller.put(0, b"x", token=OWN, end=BodyEnd.DISCONNECTED)

    with pytest.raises(WrongTokenError):
        await caller.put(0)


async def test_the_token_is_stored_nowhere() -> None:
    """What is kept is its digest, and that is not in the metadata that clients are shown."""
    scene = Scene()
    _, token = await begun(scene)

    records = [await scene.store.load(upload_id) for upload_id in await ids(scene.store)]

    assert len(records) == 2
    assert not [record for record in records if token in repr(record)]
    assert not [record for record in records if record.secret in record.metadata.raw]


async def test_another_process_asks_for_the_same_token() -> None:
    """Nothing of it is in memory: a restarted server, or an equal one, knows it from the storage."""
    scene = Scene()
    caller, token = await begun(scene)
    scene.restart()

    with pytest.raises(WrongTokenError):
        await caller.put(1)

    await caller.put(1, token=token)


async def test_without_the_setting_no_token_is_asked_for() -> None:
    """A token that comes all the same is no harm."""
    scene = Scene()
    caller = Caller(scene)

    answers = [await caller.put(0, token=OWN), await caller.put(1), await caller.put(2, token="x" * 16)]
    await caller.finalize()

    assert answers == [None] * 3


# -- a server of the same storage that does not see our locks ---------------------------------


async def test_of_two_servers_one_begins_the_file() -> None:
    """The other one looked before and wrote behind: its caller is not the one who began the file."""
    scene = Scene()
    caller, token = await begun(scene)
    scene.script(load=[UploadNotFoundError(FILE), UploadNotFoundError(assembly_id(FILE)), None] * 2)

    with pytest.raises(WrongTokenError):
        await caller.put(1)
    told = await caller.put(1, token=token)

    assert told is None
    assert await content(scene.store, caller.chunk(1)) == CHUNKS[1]


async def test_a_chunk_that_another_server_has_just_begun_is_locked() -> None:
    """Both looked at once: one takes it, the other says that it may come again, and changes nothing."""
    scene = Scene()
    caller, token = await begun(scene)
    before = await content(scene.store, caller.chunk(0))
    scene.script(load=[None, None, UploadNotFoundError(caller.chunk(0))])

    with pytest.raises(UploadLockedError):
        await caller.put(0, b"other", token=token)

    assert await content(scene.store, caller.chunk(0)) == before
