"""SIGKILL between and within the requests of a form: what was answered stays, the rest comes again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING

from tests.support.forms import field, file, format_form
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess
from tests.wire.forms import CHUNK, UPLOAD, Forms, Told, chunk_parts, new_uuid
from tests.wire.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 2**20
COUNT = 4
DATA = make_bytes(COUNT * 2 * MIB, seed=97)
CHUNKS = [DATA[start : start + 2 * MIB] for start in range(0, len(DATA), 2 * MIB)]


def files_of(forms: Forms, file_id: str) -> list[str]:
    """Every file that belongs to it."""
    return sorted(name for name in forms.stored() if file_id in name)


def test_a_server_killed_between_and_within_chunks_goes_on(tmp_path: Path) -> None:
    """Chunks that were answered stay; that of the moment comes again; the token is still the same."""
    with ServerProcess(tmp_path / "store", "--form-tokens") as server:
        forms, file_id = Forms(server), new_uuid()
        token = forms.chunk(file_id, 0, COUNT, CHUNKS[0]).content["token"]
        for index in range(1, COUNT):
            form = format_form(chunk_parts(file_id, index, COUNT, CHUNKS[index], token)[::-1])
            with forms.connect() as wire:
                wire.send(forms.head(CHUNK, len(form)) + form[: len(form) * index // COUNT])
                arriving = forms.folder / "incoming" / f"form-{file_id}-{index}"
                wait_until(arriving.exists, "nothing arrives")
                server.kill9()
            server.start()
            assert forms.chunk(file_id, index, COUNT, CHUNKS[index]).code == "ERR_WRONG_TOKEN"
            assert forms.chunk(file_id, index, COUNT, CHUNKS[index], token).status == 200

        done = forms.finalize(file_id, token=token)

        assert sha256(forms.content(done)) == sha256(DATA)
        assert files_of(forms, file_id) == [f"incoming/{file_id}.json", f"uploads/{file_id}.webm"]


def test_a_chunk_whose_creation_a_crash_cut_short_comes_again(tmp_path: Path) -> None:
    """Killed between making the place for its bytes and the record, the server has only the first."""
    with ServerProcess(tmp_path / "store") as server:
        forms, file_id = Forms(server), new_uuid()
        forms.chunk(file_id, 0, COUNT, CHUNKS[0])
        server.kill9()
        for name in (f"form-{file_id}-1", file_id):
            (forms.folder / "incoming" / name).touch()
        server.start()
        for index in range(1, COUNT):
            assert forms.chunk(file_id, index, COUNT, CHUNKS[index]).status == 200

        done = forms.finalize(file_id)

        assert sha256(forms.content(done)) == sha256(DATA)
        assert files_of(forms, file_id) == [f"incoming/{file_id}.json", f"uploads/{file_id}.webm"]


def size_of(path: Path) -> int:
    """Bytes, -1 without a file."""
    return path.stat().st_size if path.exists() else -1


def moments(forms: Forms, file_id: str) -> list[Callable[[], bool]]:
    """What can be seen of a finalize under way, in order; each also holds at its end."""
    incoming, public = forms.folder / "incoming", forms.folder / "uploads" / f"{file_id}.webm"
    return [
        lambda: public.exists() or size_of(incoming / file_id) >= 0,
        lambda: public.exists() or size_of(incoming / file_id) > len(DATA) // 2,
        public.exists,
        lambda: not (incoming / f"form-{file_id}-0").exists(),
    ]


def test_a_server_killed_within_finalize_gives_the_same_answer(tmp_path: Path) -> None:
    """Whenever it dies: the answer comes with the next request, and nothing but the file is left.

    The sweep of the new start may be at the parts just then: the answer, which is true, does not wait.
    """
    with ServerProcess(tmp_path / "store") as server, ThreadPoolExecutor(1) as pool:
        forms = Forms(server)
        for number in range(len(moments(forms, ""))):
            file_id = new_uuid()
            for index, chunk in enumerate(CHUNKS):
                forms.chunk(file_id, index, COUNT, chunk)
            asking = pool.submit(finalize_if_it_lives, forms, file_id)
            wait_until(moments(forms, file_id)[number], f"moment {number} does not come")
            server.kill9()
            told = asking.result()
            server.start()

            again = forms.finalize(file_id)

            assert told is None or told.content == again.content
            assert sha256(forms.content(again)) == sha256(DATA)
            left = [f"incoming/{file_id}.json", f"uploads/{file_id}.webm"]
            wait_until(partial(has_just, forms, file_id, left), f"more is left than {left}")


def has_just(forms: Forms, file_id: str, names: list[str]) -> bool:
    """Whether these are all files that belong to it."""
    return files_of(forms, file_id) == names


def finalize_if_it_lives(forms: Forms, file_id: str) -> Told | None:
    """The answer, if there was one."""
    try:
        return forms.finalize(file_id)
    except (OSError, EOFError, HTTPException):
        return None


def test_what_a_killed_server_leaves_of_a_form_expires(tmp_path: Path) -> None:
    """Nobody can go on with it: it has a time although --expire-after is off, and is never served."""
    form = format_form([field("content_type", "audio/webm"), file(CHUNKS[0])])
    with ServerProcess(tmp_path / "store") as server:
        forms = Forms(server)
        with forms.connect() as wire:
            wire.send(forms.head(UPLOAD, len(form)) + form[:MIB])
            wait_until(lambda: list((forms.folder / "incoming").glob("*.json")), "nothing arrives")
            server.kill9()
        (record,) = (forms.folder / "incoming").glob("*.json")

        assert '"expires_at": "20' in record.read_text()
        assert list((forms.folder / "uploads").iterdir()) == []
