"""Whatever is sent to the forms, the answer is JSON and never an error of the server's own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.support.forms import BOUNDARY, FORM_TYPE, field, file, format_form
from tests.support.server import ServerProcess
from tests.wire.conftest import check_no_traceback
from tests.wire.forms import CHUNK, FINALIZE, UPLOAD, Forms, Told, chunk_parts, new_uuid, tell
from tests.wire.raw import Wire, format_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 120
EXPECTED = {200, 400, 403, 404, 409, 413, 415, 422}


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forms]:
    """A client of a server for this module; nothing that it was asked may have been its own error."""
    folder = tmp_path_factory.mktemp("fuzz") / "store"
    with ServerProcess(folder, "--max-size", "100000", "--network-timeout", "2s") as process:
        yield Forms(process)
        check_no_traceback(process)


def flip(source: random.Random, data: bytearray) -> None:
    """Another byte."""
    data[source.randrange(len(data))] = source.randrange(256)


def drop(source: random.Random, data: bytearray) -> None:
    """A few bytes less."""
    start = source.randrange(len(data))
    del data[start : start + source.randrange(1, 30)]


def insert(source: random.Random, data: bytearray) -> None:
    """Something that means something, where it does not."""
    words = [b"\r\n", b"\r\n\r\n", b"--", b'"', b";", b"\0", b"\xff", b"=", b"%00"]
    words.append(f"\r\n--{BOUNDARY}".encode())
    start = source.randrange(len(data))
    data[start:start] = source.choice(words)


def repeat(source: random.Random, data: bytearray) -> None:
    """A stretch of it twice."""
    start = source.randrange(len(data))
    data[start:start] = data[start : start + source.randrange(1, 200)]


CHANGES: list[Callable[[random.Random, bytearray], None]] = [flip, drop, insert, repeat]


def change(source: random.Random, data: bytes) -> bytes:
    """A few changes."""
    changed = bytearray(data)
    for _ in range(source.randrange(1, 5)):
        source.choice(CHANGES)(source, changed)
    return bytes(changed)


def ask(wire: Wire, target: str, content_type: str, body: bytes) -> Told:
    """One request on a connection that is used again."""
    fields = {"Content-Type": content_type, "Content-Length": str(len(body))}
    wire.send(format_head("POST", target, fields) + body)
    return tell(wire.read())


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_forms_are_refused_or_taken(forms: Forms, seed: int) -> None:
    """A form with some bytes changed, doubled, lost or put in; what is refused leaves nothing."""
    source = random.Random(seed)
    upload = format_form([field("content_type", "audio/webm"), file(b"\r\n--x" * 40)])
    for _ in range(ROUNDS):
        chunk = format_form(chunk_parts(new_uuid(), 0, 2, b"12345"))
        target, form = source.choice([(UPLOAD, upload), (CHUNK, chunk)])
        before = forms.stored()
        with forms.connect() as wire:
            told = ask(wire, target, FORM_TYPE, change(source, form))

        assert told.status in EXPECTED, told
        assert told.status == 200 or told.code
        assert told.status == 200 or forms.stored() == before


@pytest.mark.parametrize("seed", [3])
def test_damaged_json_and_types_are_refused(forms: Forms, seed: int) -> None:
    """What is no JSON object, or of no type that is known."""
    source = random.Random(seed)
    for _ in range(ROUNDS):
        content = f'{{"file_uuid": "{new_uuid()}", "content_type": "audio/wav", "token": "{"x" * 20}"}}'
        with forms.connect() as wire:
            told = ask(wire, FINALIZE, "application/json", change(source, content.encode()))
        assert told.status in {404, 422}, told
        printable = bytes(byte for byte in change(source, FORM_TYPE.encode()) if 32 <= byte < 127)
        with forms.connect() as wire:
            told = ask(wire, UPLOAD, printable.decode().strip() or "x", format_form([file(b"x")]))
        assert told.status in {415, 422}, told
