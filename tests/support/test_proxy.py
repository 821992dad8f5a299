"""The fault proxy counts exactly and breaks exactly what it was told to."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from tests.support import faults
from tests.support.framing import RequestScanner
from tests.support.payload import make_bytes
from tests.support.proxy import FaultProxy
from tests.support.recorder import ANSWER, Recorder, chunked_patch, dial, patch, send_and_break


def test_without_a_fault_every_byte_passes_both_ways(recorder: Recorder, proxy: FaultProxy) -> None:
    """Two requests on one connection arrive unchanged, and so do their answers."""
    sent = patch(make_bytes(300_000, 1)) + patch(make_bytes(70_000, 2))
    with dial(proxy) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        answers = client.makefile("rb").read()
    recorder.settle()

    assert recorder.received == [sent]
    assert recorder.ends == ["FIN"]
    assert answers == ANSWER * 2
    assert proxy.forwarded == len(sent)
    assert [request.line for request in proxy.requests] == ["PATCH /files/1"] * 2


@pytest.mark.parametrize("after", [0, 1, 65_535, 65_536, 123_457, 300_000])
def test_a_reset_lets_exactly_the_named_bytes_through(
    recorder: Recorder, proxy: FaultProxy, after: int
) -> None:
    """The server gets the head and `after` bytes of the body, then RST; so does the client."""
    sent = patch(make_bytes(300_000))
    proxy.script(faults.reset_after(after))
    with dial(proxy) as client:
        end = send_and_break(client, sent)
    recorder.settle()

    head = len(sent) - 300_000
    assert recorder.received == [sent[: head + after]]
    assert recorder.ends == ["RST"]
    assert end == "RST"
    assert proxy.forwarded == head + after


@pytest.mark.parametrize("is_read", [True, False])
def test_a_reset_waits_for_a_server_that_is_busy(monkeypatch: pytest.MonkeyPatch, *, is_read: bool) -> None:
    """It can still read what came before; one that reads nothing for too long is reset all the same."""
    monkeypatch.setattr("tests.support.link._READ_SECONDS", 60.0 if is_read else 0.05)
    sent = patch(make_bytes(5_000))
    early: tuple[faults.Fault, ...] = ()
    received = b""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        FaultProxy("127.0.0.1", listener.getsockname()[1]) as proxy,
        dial(proxy) as client,
    ):
        proxy.script(faults.reset_after(1_000))
        client.sendall(sent)
        server, _ = listener.accept()
        with server:
            proxy.wait(lambda it: it.forwarded == len(sent) - 4_000)
            if is_read:
                time.sleep(0.1)
                early, received = proxy.fired, server.recv(65_536)
            proxy.wait(lambda it: it.pending == ())
            with pytest.raises(ConnectionResetError):
                server.sendall(ANSWER * 2**20)

    assert early == ()
    assert received == (sent[:-4_000] if is_read else b"")


def test_a_close_lets_exactly_the_named_bytes_through(recorder: Recorder, proxy: FaultProxy) -> None:
    """The server gets the head and `after` bytes of the body, then FIN."""
    sent = patch(make_bytes(300_000))
    proxy.script(faults.close_after(99_999))
    with dial(proxy) as client:
        send_and_break(client, sent)
    recorder.settle()

    assert recorder.received == [sent[: len(sent) - 300_000 + 99_999]]
    assert recorder.ends == ["FIN"]


def test_a_refused_request_does_not_arrive(recorder: Recorder, proxy: FaultProxy) -> None:
    """The request before it does; of the refused one the server gets nothing, the client RST."""
    first, second = patch(make_bytes(100)), patch(make_bytes(200), "/files/2")
    proxy.script(faults.refuse("PATCH /files/2"))
    with dial(proxy) as client:
        end = send_and_break(client, first + second)
    recorder.settle()

    assert recorder.received == [first]
    assert (recorder.ends, end) == (["RST"], "RST")


def test_a_fault_counts_the_body_of_the_request_it_names(recorder: Recorder, proxy: FaultProxy) -> None:
    """`nth` counts requests that match `of`; all before it on the connection pass whole."""
    post = b"POST /files/ HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    sent = post + patch(make_bytes(5_000)) + post + patch(make_bytes(5_000, 1))
    proxy.script(faults.reset_after(10, of="PATCH /files/1", nth=2))
    with dial(proxy) as client:
        send_and_break(client, sent)
    recorder.settle()

    assert recorder.received == [sent[:-4_990]]


def test_a_fault_beyond_the_body_waits_for_a_longer_one(recorder: Recorder, proxy: FaultProxy) -> None:
    """A fault that does not fit into one request happens to the next one it fits into."""
    sent = patch(make_bytes(10)) + patch(make_bytes(1_000))
    proxy.script(faults.reset_after(500))
    with dial(proxy) as client:
        send_and_break(client, sent)
    recorder.settle()

    assert recorder.received == [sent[:-500]]
    assert proxy.pending == ()


def test_faults_happen_in_the_order_of_the_script(recorder: Recorder, proxy: FaultProxy) -> None:
    """The second fault strikes the second connection, the third connection is left alone."""
    sent = patch(make_bytes(1_000))
    script = (faults.reset_after(700), faults.reset_after(300))
    proxy.script(*script)
    for _ in script:
        with dial(proxy) as client:
            send_and_break(client, sent)
    with dial(proxy) as client:
        client.sendall(sent)
        answer = client.recv(100)
    recorder.settle(3)

    assert recorder.received == [sent[:-300], sent[:-700], sent]
    assert answer == ANSWER
    assert proxy.fired == script


def test_chunked_bodies_are_counted_as_they_stand_on_the_wire(
    recorder: Recorder, proxy: FaultProxy
) -> None:
    """Chunk lines belong to the body; the request after the trailer is recognised."""
    first = chunked_patch(make_bytes(5), make_bytes(70_000))
    second = chunked_patch(make_bytes(20))
    proxy.script(faults.reset_after(7, nth=2))
    with dial(proxy) as client:
        send_and_break(client, first + second)
    recorder.settle()

    head = second.index(b"\r\n\r\n") + 4
    assert recorder.received == [first + second[: head + 7]]


def test_behind_an_upgrade_every_byte_is_counted(recorder: Recorder, proxy: FaultProxy) -> None:
    """RFC 9110, 7.8: what follows is another protocol's, whatever it looks like."""
    head = b"GET /live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    sent = head + patch(b"12345") + make_bytes(100_000)
    proxy.script(faults.reset_after(77_777, "GET /live"))
    with dial(proxy) as client:
        send_and_break(client, sent)
    recorder.settle()

    assert recorder.received == [sent[: len(head) + 77_777]]
    assert [request.line for request in proxy.requests] == ["GET /live"]


def test_a_lost_response_follows_a_whole_request(recorder: Recorder, proxy: FaultProxy) -> None:
    """The server has all of it and has answered; the client gets a reset and not one byte."""
    sent = patch(make_bytes(200_000))
    proxy.script(faults.lose_response())
    with dial(proxy) as client:
        client.sendall(sent)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    recorder.settle()

    assert recorder.received == [sent]


def test_a_lost_response_to_a_head_is_lost_at_once(recorder: Recorder, proxy: FaultProxy) -> None:
    """An answer without a body is none to wait for."""
    sent = b"HEAD /files/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    proxy.script(faults.lose_response("HEAD"))
    with dial(proxy) as client:
        client.sendall(sent)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    recorder.settle()

    assert recorder.received == [sent]


@pytest.mark.parametrize("place", [0, 65_535, 65_536, 199_999])
def test_a_corruption_turns_over_exactly_one_byte(
    recorder: Recorder, proxy: FaultProxy, place: int
) -> None:
    """The named byte of the named body has all its bits changed; nothing else, before or behind, has."""
    first, second = patch(make_bytes(200_000, 1)), patch(make_bytes(200_000, 2))
    proxy.script(faults.corrupt_at(place, nth=2))
    with dial(proxy) as client:
        client.sendall(first + second + first)
        client.shutdown(socket.SHUT_WR)
        answers = client.makefile("rb").read()
    recorder.settle()

    at = len(first) + len(second) - 200_000 + place
    sent = first + second + first
    assert recorder.received == [sent[:at] + bytes([sent[at] ^ 0xFF]) + sent[at + 1 :]]
    assert recorder.ends == ["FIN"]
    assert answers == ANSWER * 3
    assert proxy.pending == ()


def test_silence_keeps_both_connections_open(recorder: Recorder, proxy: FaultProxy) -> None:
    """Exactly the named bytes pass; then nothing, not even the client's end, until the proxy cuts."""
    sent = patch(make_bytes(200_000))
    proxy.script(faults.silence_after(150_000))
    with dial(proxy) as client:
        client.sendall(sent[:-40_000])
        proxy.wait(lambda it: len(it.fired) == 1)
    state_after_client_left = recorder.ends[0]
    proxy.cut()
    recorder.settle()

    assert state_after_client_left == "open"
    assert recorder.received == [sent[:-50_000]]
    assert recorder.ends == ["RST"]


def test_down_resets_what_runs_and_refuses_what_comes(recorder: Recorder, proxy: FaultProxy) -> None:
    """A pulled cable ends every connection; after `up` the same port works again."""
    with dial(proxy) as client:
        client.sendall(patch(b"12345")[:-1])
        assert recorder.first_bytes.wait(10)
        proxy.down()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
    proxy.up()
    with dial(proxy) as client:
        client.sendall(patch(b""))
        answer = client.recv(100)

    assert answer == ANSWER


def test_a_slow_link_holds_bytes_back(recorder: Recorder, proxy: FaultProxy) -> None:
    """With 100 kB/s, 20 kB take at least 0.2 s, and all of them arrive."""
    sent = patch(make_bytes(20_000))
    proxy.slow(100_000)
    with dial(proxy) as client:
        begun = time.monotonic()
        client.sendall(sent)
        answer = client.recv(100)
        seconds = time.monotonic() - begun

    assert answer == ANSWER
    assert recorder.received == [sent]
    assert seconds >= 0.2


def test_a_reset_of_the_client_reaches_the_server(recorder: Recorder, proxy: FaultProxy) -> None:
    """The proxy adds no politeness: RST comes out as RST."""
    with dial(proxy) as client:
        client.sendall(patch(b"12345")[:-1])
        assert recorder.first_bytes.wait(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    recorder.settle()

    assert recorder.ends == ["RST"]


def test_a_server_that_is_away_resets_the_client(proxy: FaultProxy) -> None:
    """Nobody listens behind the proxy: the client's connection breaks at once."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        proxy.upstream = deaf.getsockname()
        with pytest.raises(ConnectionResetError), dial(proxy) as client:
            client.recv(1)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_scanning_loses_nothing_however_the_bytes_are_cut(size: int) -> None:
    """The pieces put together are the input, and requests end where they end."""
    whole = patch(b"") + chunked_patch(b"abc", b"de") + patch(b"12345")
    scanner = RequestScanner()
    pieces = [piece for i in range(0, len(whole), size) for piece in scanner.feed(whole[i : i + size])]

    assert b"".join(piece.data for piece in pieces) == whole
    assert scanner.rest() == b""
    assert sum(piece.is_last for piece in pieces) == sum(piece.is_head for piece in pieces) == 3
    assert pieces[-1].is_last
