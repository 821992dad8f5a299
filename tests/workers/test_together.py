"""What comes to several workers is one upload: nothing is lost on the way from one to another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.faults.wire import create, offset_of, published_digest, wait_until, wait_until_stored
from tests.support.payload import Payload, make_bytes, sha256
from tests.wire.tus import Tus, path_of

if TYPE_CHECKING:
    from tests.wire.raw import Response, Wire
    from tests.workers.crew import Crew

DATA = Payload(size=3_000_000, seed=11)


def tus_of(crew: Crew) -> Tus:
    """Formats requests for the crew."""
    return Tus.of(crew)


def begin_patch(crew: Crew, wire: Wire, path: str, offset: int, length: int) -> None:
    """The head of a PATCH."""
    wire.send(tus_of(crew).patch_head(path, offset, length))


def answer_code(answer: Response) -> tuple[int, str]:
    """Status and machine-readable code."""
    return answer.status, answer.body.decode().partition(":")[0]


def test_an_upload_goes_on_at_another_worker(crew: Crew, two: tuple[int, int]) -> None:
    """tus 1.0.0, Core: begun at one worker, each next piece sent to the other one, asked at both."""
    tus, data = tus_of(crew), DATA.data
    path, offset, step = tus.create(len(data)), 0, 600_000
    while offset < len(data):
        piece = data[offset : offset + step]
        with crew.connect(two[offset // step % 2]) as wire:
            begin_patch(crew, wire, path, offset, len(piece))
            wire.send(piece)
            assert wire.read("PATCH").status == 204
        offset += len(piece)
        for worker in two:
            with crew.connect(worker) as wire:
                wire.send(tus.head_of("HEAD", path))
                assert wire.read("HEAD").get("Upload-Offset") == str(offset)

    assert published_digest(crew, path) == DATA.sha256


def test_a_stalled_patch_gives_way_to_one_at_another_worker(crew: Crew, two: tuple[int, int]) -> None:
    """Every byte of the first one is kept, and who held the upload is told that it does no more."""
    tus, data = tus_of(crew), DATA.data
    path = tus.create(len(data))
    with crew.connect(two[0]) as stalled, crew.connect(two[1]) as fresh:
        begin_patch(crew, stalled, path, 0, len(data))
        stalled.send(data[:1_000_000])
        wait_until_stored(crew, path, 1_000_000)
        begin_patch(crew, fresh, path, 1_000_000, len(data) - 1_000_000)
        refused = stalled.read("PATCH")
        fresh.send(data[1_000_000:])
        taken = fresh.read("PATCH")

    assert answer_code(refused) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert (taken.status, taken.get("Upload-Offset")) == (204, str(len(data)))
    assert published_digest(crew, path) == DATA.sha256


def test_a_head_at_another_worker_disturbs_nobody(crew: Crew, two: tuple[int, int]) -> None:
    """It tells what is stored while the holder receives, and the holder receives to the end."""
    tus, data = tus_of(crew), DATA.data
    path = tus.create(len(data))
    told: list[int] = []
    with crew.connect(two[0]) as receiving, crew.connect(two[1]) as asking:
        begin_patch(crew, receiving, path, 0, len(data))
        for start in range(0, len(data), 500_000):
            receiving.send(data[start : start + 500_000])
            wait_until(lambda: told_by(tus, asking, path, told) >= start, "the HEAD tells less")  # noqa: B023
        finished = receiving.read("PATCH")

    assert (finished.status, finished.get("Upload-Offset")) == (204, str(len(data)))
    assert told == sorted(told)
    assert published_digest(crew, path) == DATA.sha256


def told_by(tus: Tus, wire: Wire, path: str, told: list[int]) -> int:
    """One more HEAD, and the offset that it tells, which is added to `told`."""
    wire.send(tus.head_of("HEAD", path))
    answer = wire.read("HEAD")
    assert answer.status == 200, answer
    told.append(int(answer.get("Upload-Offset") or ""))
    return told[-1]


def test_a_removed_upload_is_gone_for_all(crew: Crew, two: tuple[int, int]) -> None:
    """tus 1.0.0, Termination: a DELETE at one worker ends the PATCH that the other one receives."""
    tus = tus_of(crew)
    path = tus.create(1000)
    with crew.connect(two[0]) as receiving, crew.connect(two[1]) as removing:
        begin_patch(crew, receiving, path, 0, 1000)
        receiving.send(bytes(500))
        wait_until_stored(crew, path, 500)
        removing.send(tus.head_of("DELETE", path))
        removed, interrupted = removing.read("DELETE"), receiving.read("PATCH")

    assert removed.status == 204
    assert answer_code(interrupted) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert tus.head(path).status == 404
    assert tus.files(path.rpartition("/")[2]) == {}


def test_partials_at_several_workers_become_one_file(crew: Crew, two: tuple[int, int]) -> None:
    """tus 1.0.0, Concatenation: a final that was made first is joined when the last part has come."""
    tus, pieces = tus_of(crew), [make_bytes(70_000, 1), make_bytes(80_000, 2)]
    parts = [tus.create(len(piece), {"Upload-Concat": "partial"}) for piece in pieces]
    with crew.connect(two[0]) as wire:
        fields = {"Upload-Concat": "final;" + " ".join(parts), "Content-Length": "0"}
        wire.send(tus.head_of("POST", tus.base, fields))
        final = path_of(wire.read("POST"))
    for part, piece in zip(parts, pieces, strict=True):
        with crew.connect(two[1]) as wire:
            begin_patch(crew, wire, part, 0, len(piece))
            wire.send(piece)
            assert wire.read("PATCH").status == 204

    wait_until(lambda: len(crew.names()) == 1, "the final is not joined")
    assert published_digest(crew, final) == sha256(b"".join(pieces))


def send_form(wire: Wire, target: str, fields: dict[str, str], name: str, content: bytes) -> Response:
    """A form with a file as its last field."""
    head = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    )
    head += f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'
    body = head.encode() + content + b"\r\n--x--\r\n"
    wire.send(
        f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return wire.read("POST")


def test_chunks_of_a_form_at_several_workers_become_one_file(crew: Crew, two: tuple[int, int]) -> None:
    """Each chunk to the other worker, one of them to both, finalize at both: one file, whole."""
    file_id = "0b5de3a2-3c0f-4a0e-9d0a-0123456789ab"
    pieces = [make_bytes(50_000, seed) for seed in range(4)]
    fields = {"content_type": "audio/wav", "total_chunks": "4", "file_uuid": file_id}
    for index, worker in ((2, 0), (0, 1), (3, 0), (0, 0), (1, 1)):
        with crew.connect(two[worker]) as wire:
            numbered = fields | {"chunk_index": str(index)}
            assert send_form(wire, "/file/upload-chunk", numbered, "chunk", pieces[index]).status == 200
    order = json.dumps({"file_uuid": file_id, "content_type": "audio/wav"}).encode()
    for worker in two:
        with crew.connect(worker) as wire:
            wire.send(
                b"POST /file/finalize-chunked-upload HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(order), order)
            )
            assert wire.read("POST").status == 200

    assert crew.names() == [f"{file_id}.wav"]
    assert sha256(crew.content(file_id)) == sha256(b"".join(pieces))


def test_connections_are_dealt_out_to_all(crew: Crew, two: tuple[int, int]) -> None:
    """Each worker has its own sockets, so none of them serves alone."""
    wires = [crew.connect(worker) for worker in (*two, *two)]

    assert {crew.worker_of(wire.sock) for wire in wires} == set(two)
    for wire in wires:
        wire.sock.close()
    assert offset_of(create(crew.url, 5)) == 0
