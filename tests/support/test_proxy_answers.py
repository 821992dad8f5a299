"""The fault proxy as one that answers by itself, and as one that lets others wait."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from tests.support import faults
from tests.support.payload import make_bytes
from tests.support.recorder import ANSWER, Recorder, dial, patch, send_and_break

if TYPE_CHECKING:
    from tests.support.proxy import FaultProxy

NO = b"HTTP/1.1 503 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
HEAD = b"HEAD /files/1 HTTP/1.1\r\n\r\n"


def exchange(proxy: FaultProxy, data: bytes) -> bytes:
    """All that comes back for `data` until the connection ends, which it has to do in good order."""
    with dial(proxy) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


def test_an_answer_in_the_place_of_the_request_keeps_it_from_the_server(
    recorder: Recorder, proxy: FaultProxy
) -> None:
    """The client can send its whole body and reads the answer; the server gets not one byte."""
    proxy.script(faults.answer(NO))
    answer = exchange(proxy, patch(make_bytes(200_000)))
    recorder.settle()

    assert answer == NO
    assert recorder.received == [b""]


def test_a_client_that_asks_first_is_answered_before_it_sends(
    recorder: Recorder, proxy: FaultProxy
) -> None:
    """RFC 9110, 10.1.1: a final status instead of 100 Continue spares the body."""
    proxy.script(faults.answer(NO))
    with dial(proxy) as client:
        client.sendall(b"PATCH / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
        answer = client.makefile("rb").read()
    recorder.settle()

    assert answer == NO
    assert recorder.received == [b""]


def test_an_answer_in_the_place_of_the_servers_follows_a_whole_request(
    recorder: Recorder, proxy: FaultProxy
) -> None:
    """The server has all of it and has answered; the client hears something else."""
    sent = patch(make_bytes(200_000))
    proxy.script(faults.answer_instead(NO))
    answer = exchange(proxy, sent)
    recorder.settle()

    assert answer == NO
    assert recorder.received == [sent]
    assert proxy.fired == (faults.answer_instead(NO),)


@pytest.mark.parametrize("fault", [faults.answer, faults.answer_instead])
def test_no_answer_to_head_has_a_body(recorder: Recorder, proxy: FaultProxy, fault: type) -> None:
    """RFC 9110, 9.3.2: what is said in the place of an answer ends with its head there."""
    proxy.script(fault(NO, "HEAD"))
    answer = exchange(proxy, HEAD)

    assert answer == NO.removesuffix(b"busy")


def test_a_fault_of_several_times_strikes_so_many_requests(recorder: Recorder, proxy: FaultProxy) -> None:
    """From the second request on, three of them; the fifth passes."""
    sent = patch(make_bytes(1_000))
    fault = faults.answer(NO, nth=2, times=3)
    proxy.script(fault)
    answers = [exchange(proxy, sent) for _ in range(5)]

    assert answers == [ANSWER, NO, NO, NO, ANSWER]
    assert proxy.fired == (fault,) * 3
    assert proxy.pending == ()


def test_what_has_not_happened_can_be_forgotten(recorder: Recorder, proxy: FaultProxy) -> None:
    """After `clear` everything passes, and a new fault counts from then."""
    sent = patch(make_bytes(1_000))
    proxy.script(faults.answer(NO, times=100), faults.refuse())
    answers = [exchange(proxy, sent)]
    proxy.clear()
    answers.append(exchange(proxy, sent))
    proxy.script(faults.answer(NO, nth=2))
    answers += [exchange(proxy, sent), exchange(proxy, sent)]

    assert answers == [NO, ANSWER, ANSWER, NO]


def test_a_held_request_arrives_whole_after_its_release(recorder: Recorder, proxy: FaultProxy) -> None:
    """Until then the server has not one byte of it, however much the client sends."""
    sent = patch(make_bytes(500_000))
    proxy.script(faults.hold())
    with dial(proxy) as client:
        client.sendall(sent)
        proxy.wait(lambda it: len(it.fired) == 1)
        held = b"".join(recorder.received)
        proxy.release()
        answer = client.recv(100)
        client.shutdown(socket.SHUT_WR)
        recorder.settle()

    assert held == b""
    assert answer == ANSWER
    assert recorder.received == [sent]


def test_a_held_request_ends_with_its_client(recorder: Recorder, proxy: FaultProxy) -> None:
    """A client that loses patience takes its request with it."""
    proxy.script(faults.hold())
    with dial(proxy) as client:
        client.sendall(patch(make_bytes(1_000)))
        proxy.wait(lambda it: len(it.fired) == 1)
    recorder.settle()

    assert recorder.received == [b""]
    assert recorder.ends == ["RST"]


def test_a_held_answer_comes_after_its_release(recorder: Recorder, proxy: FaultProxy) -> None:
    """The server has done its work when the fault has happened; the client learns of it later."""
    sent = patch(make_bytes(300_000))
    proxy.script(faults.hold_response())
    with dial(proxy) as client:
        client.sendall(sent)
        proxy.wait(lambda it: len(it.fired) == 1)
        received = list(recorder.received)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(10)
        proxy.release()
        answer = client.recv(100)

    assert received == [sent]
    assert answer == ANSWER


def test_a_held_answer_ends_with_its_client(recorder: Recorder, proxy: FaultProxy) -> None:
    """The server hears of it by a reset."""
    proxy.script(faults.hold_response())
    with dial(proxy) as client:
        client.sendall(patch(make_bytes(1_000)))
        proxy.wait(lambda it: len(it.fired) == 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    recorder.settle()

    assert recorder.ends == ["RST"]


def test_a_permission_to_go_on_is_not_the_answer(recorder: Recorder, proxy: FaultProxy) -> None:
    """RFC 9110, 15.2: 100 Continue passes, also where the answer behind it is to be lost."""
    recorder.interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    sent = patch(make_bytes(1_000))
    proxy.script(faults.answer_instead(NO), faults.lose_response())
    answer = exchange(proxy, sent)
    with dial(proxy) as client:
        client.sendall(sent)
        passed = client.recv(100)
        end = send_and_break(client, b"")

    assert answer == recorder.interim + NO
    assert (passed, end) == (recorder.interim, "RST")
