"""Every request header, right, nearly right and wild, against a running server.

Whatever comes is answered, nothing of it is an error of the server's own, and what is refused leaves
everything as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server import ServerProcess
from tests.wire.conftest import check_no_traceback
from tests.wire.joins import PARTIAL, join
from tests.wire.raw import Response, format_chunks, format_head
from tests.wire.sums import ALGORITHMS, checksum
from tests.wire.tus import CHUNK_TYPE, UNKNOWN, Tus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXAMPLES = 800
BODY = b"hello"
METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PUT",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "frob",
)
CODE = re.compile(rb"[A-Z][A-Z_]+: \S")
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Fri, 31 Dec 2100 23:59:59 GMT"

# -- what is asked for ------------------------------------------------------------------------

PLACES = {
    "base": "/files/",
    "base without slash": "/files",
    "open": "{open}",
    "deferred": "{deferred}",
    "finished": "{finished}",
    "partial": "{partial}",
    "unfinished partial": "{unfinished}",
    "final": "{final}",
    "waiting final": "{waiting}",
    "unknown": f"/files/{UNKNOWN}",
    "no id": "/files/..%2f%00",
    "published": "{published}",
    "unknown published": "/uploads/nothing.txt",
    "live": "/healthz",
    "ready": "/readyz",
    "elsewhere": "/elsewhere",
}
"""Targets by what they are; names in braces stand for addresses that only the scene knows."""

CONCAT = (
    "partial",
    "final;{partial} {partial}",
    "final;{partial} {unfinished}",
    "final;http://files.test{partial}",
    "final;http://other.test{partial}",
    "final;{open}",
    "final;{final}",
    f"final;/files/{UNKNOWN}",
    "final;",
)

VALUES: Mapping[str, tuple[str, ...]] = {
    "Accept-Encoding": ("gzip, br",),
    "Access-Control-Request-Headers": ("upload-offset, tus-resumable",),
    "Access-Control-Request-Method": ("PATCH",),
    "Authorization": ("Basic YTpi", "Bearer x"),
    "Connection": ("close", "keep-alive", "upgrade", "Upload-Offset"),
    "Content-Encoding": ("gzip", "identity", "br"),
    "Content-Type": (
        CHUNK_TYPE,
        f"{CHUNK_TYPE}; charset=utf-8",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ),
    "Cookie": ("a=b; c=d",),
    "Expect": ("100-continue", "100-Continue", "200-ok"),
    "Forwarded": ("for=192.0.2.1;host=example.test;proto=https", 'host="[::1]:80"', "proto=gopher"),
    "Host": ("files.test", "files.test:8080", "[::1]", "", "a:b:c", "user@host", "files.test:99999"),
    "If-Match": ("*", '"x"', 'W/"x"'),
    "If-Modified-Since": (DATE, LATER),
    "If-None-Match": ("*", '"x", "y"'),
    "If-Range": ('"x"', LATER),
    "If-Unmodified-Since": (DATE, LATER),
    "Origin": ("https://example.test", "null"),
    "Range": ("bytes=0-1", "bytes=-3", "bytes=2-", "bytes=0-0,3-4", "bytes=900-", "lines=1-2"),
    "TE": ("trailers",),
    "Trailer": ("Upload-Checksum", "X-Other, upload-checksum", "Content-Length"),
    "Tus-Resumable": ("1.0.0", "0.2.2"),
    "Upgrade": ("websocket", "h2c"),
    "Upload-Checksum": (
        *(checksum(BODY, algorithm)["Upload-Checksum"] for algorithm in ALGORITHMS),
        checksum(b"other")["Upload-Checksum"],
        "whirlpool AAAA",
    ),
    "Upload-Concat": CONCAT,
    "Upload-Defer-Length": ("1", "0"),
    "Upload-Expires": (LATER,),
    "Upload-Length": ("20", "0", "5", "3", "100000", "100001", "9223372036854775807", "1e3"),
    "Upload-Metadata": ("filename d29ybGQudHh0,is_big", "filetype dGV4dC9odG1s", "a YQ==,a YQ==", ""),
    "Upload-Offset": ("10", "0", "3", "9223372036854775807", "9223372036854775808", "-1"),
    "X-Forwarded-For": ("192.0.2.1, 192.0.2.2",),
    "X-Forwarded-Host": ("example.test", "a, b"),
    "X-Forwarded-Proto": ("https", "ftp"),
    "X-HTTP-Method-Override": METHODS,
    "X-Request-ID": ("0123-abc", "x" * 129),
    "X-Unheard-Of": ("of",),
}
"""Every field the server or what it is built on looks at, and values that mean something there."""

CODINGS = ("chunked", "Chunked", "gzip, chunked", "chunked, chunked", "chunked, gzip", "identity", "")
LENGTHS = ("+5", "-1", "5x", "0x5", "5, 5", "5, 6", "", "5 5", "1_0", "99999999999999999999999x")

letters = st.sampled_from("\t" + "".join(map(chr, (*range(0x20, 0x7F), *range(0x80, 0x100)))))
"""Whatever may stand in a field's value (RFC 9110, 5.5), each byte as one character."""

wild = st.text(letters, max_size=40)


def nearly(text: str) -> st.SearchStrategy[str]:
    """`text` with up to two characters less at one place, and up to three others instead."""
    places, inserts = st.integers(0, len(text)), st.text(letters, max_size=3)
    return st.builds(
        lambda at, less, more: text[:at] + more + text[at + less :], places, st.integers(0, 2), inserts
    )


def near(values: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Mostly one of them, sometimes not quite, sometimes anything."""
    right = st.sampled_from(values)
    return st.one_of(right, right, right, right.flatmap(nearly), wild)


VALUE = {name: near(values) for name, values in VALUES.items()}
FETCHING = tuple(name for name in VALUES if name.startswith(("If-", "Range")))
RIGHT: Mapping[str, Mapping[str, str]] = {
    "PATCH": {"Upload-Offset": "10", "Content-Type": CHUNK_TYPE},
    "POST": {"Upload-Length": "20", "Content-Type": CHUNK_TYPE},
}
LIKELY: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "PATCH": (
        ("open", "deferred", "unfinished partial"),
        ("Content-Type", "Upload-Checksum", "Upload-Length", "Upload-Offset"),
    ),
    "POST": (
        ("base", "base without slash"),
        tuple(name for name in VALUES if name.startswith("Upload-")),
    ),
    "GET": (("published", "finished", "final"), FETCHING),
    "HEAD": (("published", "finished", "open"), FETCHING),
}
"""Where a method has an effect, and the fields that decide which; what is drawn is often of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose addresses are not filled in yet; `body` is sent as it is, behind the head."""

    method: str
    place: str
    fields: Mapping[str, tuple[str, ...]]
    body: bytes

    @property
    def may_be_head(self) -> bool:
        """Its answer may be without a body because it is that to a HEAD."""
        overrides = self.fields.get("X-HTTP-Method-Override", ())
        return "HEAD" in {self.method, *(value.strip().upper() for value in overrides)}

    @property
    def is_ours(self) -> bool:
        """It goes to uploads or their files; elsewhere some refusals are the framework's."""
        return self.place not in {"live", "ready", "elsewhere"}

    @property
    def length_is_told(self) -> bool:
        """The server knows before the body how long it will be."""
        return "Transfer-Encoding" not in self.fields


@st.composite
def framings(draw: st.DrawFn) -> tuple[dict[str, tuple[str, ...]], bytes]:
    """How the body is announced, and what is sent: never less than announced, nobody waits for more."""
    body = draw(st.sampled_from([BODY, BODY, b"", b"hello, hello, hello"]))
    match draw(st.sampled_from(["none", *["length", "chunked"] * 4, "a coding", "no length"])):
        case "length":
            return {"Content-Length": (str(len(body)),)}, body
        case "no length":
            return {"Content-Length": (draw(st.sampled_from(LENGTHS)),)}, BODY
        case "chunked":
            return {"Transfer-Encoding": ("chunked",)}, draw(coded(body))
        case "a coding":
            return {"Transfer-Encoding": (draw(near(CODINGS)),)}, draw(coded(body))
        case _:
            return {}, b""


@st.composite
def coded(draw: st.DrawFn, body: bytes) -> bytes:
    """The body in chunked coding, with a trailer section or without."""
    trailer = draw(st.one_of(st.just(""), VALUE["Upload-Checksum"].map("Upload-Checksum: {}\r\n".format)))
    chunks = format_chunks([body] if body else [], end=False)
    return chunks + b"0\r\n" + trailer.encode("latin-1") + b"\r\n"


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request in good order, with up to four fields more, less, twice or otherwise."""
    method = draw(st.sampled_from(("PATCH", "POST", "GET") * 4 + METHODS))
    places, names = LIKELY.get(method, (tuple(PLACES), tuple(VALUES)))
    place = draw(st.one_of(*[st.sampled_from(places)] * 2, st.sampled_from(tuple(PLACES))))
    right = {"Tus-Resumable": "1.0.0", **RIGHT.get(method, {})}
    fields: dict[str, tuple[str, ...]] = {name: (value,) for name, value in right.items()}
    framing, body = draw(framings())
    some = st.one_of(*[st.sampled_from(names)] * 2, st.sampled_from(tuple(VALUES)))
    for name in draw(st.lists(some, min_size=1, max_size=4, unique=True)):
        times = draw(st.sampled_from([1] * 7 + [0, 2]))
        fields[name] = tuple(draw(VALUE[name]) for _ in range(times))
    return Request(method=method, place=place, fields=fields | framing, body=body)


# -- what is there ----------------------------------------------------------------------------

Seen = tuple[dict[str, str], dict[str, tuple[tuple[str, str], ...]]]
"""Every file by path and digest, and what HEAD says of every upload."""


class Scene:
    """One upload of every kind, made anew whenever a request that was granted has changed something."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._tus = Tus.of(server)
        self._stand_up()

    def ask(self, request: Request) -> Response:
        """The answer to the request, on a connection of its own."""
        target = self._fill_in(PLACES[request.place])
        fields = {name: [self._fill_in(v) for v in values] for name, values in request.fields.items()}
        with self._tus.connect() as wire:
            wire.send(format_head(request.method, target, fields) + request.body)
            return wire.read(request.method)

    def look(self) -> Seen:
        """Everything as it is now."""
        files = self._tus.files()
        heads = [self._tus.head_of("HEAD", path) for path in self._uploads.values()]
        with self._tus.connect() as wire:
            wire.send(b"".join(heads))
            answers = [wire.read("HEAD") for _ in heads]
        assert {answer.status for answer in answers} == {200}, answers
        told = [[each for each in answer.fields if each[0].startswith("Upload-")] for answer in answers]
        return files, {kind: tuple(each) for kind, each in zip(self._uploads, told, strict=True)}

    def settle(self) -> None:
        """Make sure that `seen` is what is there, after a request that was granted."""
        if self._tus.files() == self.seen[0]:
            return
        for record in self._tus.folder.glob("incoming/*.json"):
            answer = self._tus.ask("DELETE", f"/files/{record.stem}")
            assert answer.status == 204, answer
        self._stand_up()

    def _stand_up(self) -> None:
        tus = self._tus
        opened, deferred, unfinished = tus.create(20), tus.create(None), tus.create(20, PARTIAL)
        for path in (opened, deferred, unfinished):
            assert tus.patch(path, 0, b"0123456789").status == 204
        finished = tus.upload(b"finished", {"Upload-Metadata": "filename d29ybGQudHh0"})
        partial = tus.upload(b"partial", PARTIAL)
        self._uploads = {
            "open": opened,
            "deferred": deferred,
            "unfinished": unfinished,
            "finished": finished,
            "partial": partial,
            "final": join(tus, partial, partial),
            "waiting": join(tus, partial, unfinished),
        }
        self._addresses = self._uploads | {"published": f"/uploads/{self._server.published(finished).name}"}
        self.seen = self.look()

    def _fill_in(self, text: str) -> str:
        for name, path in self._addresses.items():
            text = text.replace(f"{{{name}}}", path)
        return text


@dataclass
class Tally:
    """What the answers were, so that a run that met nothing does not pass for one that held."""

    statuses: set[int] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)

    def note(self, answer: Response) -> None:
        """Count it in."""
        self.statuses.add(answer.status)
        if answer.status >= 400:
            self.codes.add(answer.body.partition(b":")[0].decode("latin-1"))


def check_refusal(scene: Scene, request: Request, answer: Response) -> None:
    """The answer says what is wrong, in our words, and nothing has changed."""
    assert answer.get("Tus-Resumable") == "1.0.0"
    if request.is_ours and not request.may_be_head:
        assert CODE.match(answer.body), answer
    if not request.length_is_told and answer.body.startswith(b"ERR_UPLOAD_SIZE_EXCEEDED:"):
        scene.settle()  # tus 1.0.0, PATCH: what fits is kept of a body whose length nobody knew
    else:
        assert scene.look() == scene.seen


def fuzz(scene: Scene, examples: int) -> Tally:
    """Send so many requests, the same in every run; AssertionError for the simplest that breaks a rule."""
    tally = Tally()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(request=requests())
    def hold(request: Request) -> None:
        answer = scene.ask(request)
        tally.note(answer)
        assert answer.status < 500, answer
        assert answer.status != 423, answer  # nobody else is here; to a HEAD it would be a hidden 5xx
        if answer.status >= 400:
            check_refusal(scene, request, answer)
        else:
            scene.settle()

    hold()
    return tally


# -- the tests --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with every extension on, that believes a proxy, and with a limit that can be met."""
    flags = ("--expire-after", "1d", "--behind-proxy", "--max-size", "100000", "--min-free-space", "0")
    with ServerProcess(tmp_path_factory.mktemp("fuzz") / "store", *flags) as process:
        yield process


def check_it_holds(server: ServerProcess, examples: int) -> None:
    """Run, and see that the run met granted requests and refusals of every sort."""
    tally = fuzz(Scene(server), examples)

    check_no_traceback(server)
    assert tally.statuses >= {200, 201, 204, 400, 403, 404, 405, 412, 415}
    assert tally.codes >= {
        "ERR_BAD_REQUEST",
        "ERR_INVALID_CHECKSUM",
        "ERR_INVALID_CONCAT",
        "ERR_INVALID_OFFSET",
        "ERR_INVALID_UPLOAD_LENGTH",
        "ERR_MODIFY_FINAL",
    }


def test_no_header_breaks_the_server_or_changes_anything_when_refused(server: ServerProcess) -> None:
    """RFC 9110, 15.5 and 15.6: what the client did wrong is a 4xx and has no effect, never a 5xx."""
    check_it_holds(server, EXAMPLES)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_times_as_many_headers_break_nothing_either(server: ServerProcess) -> None:
    """The same for longer."""
    check_it_holds(server, 10 * EXAMPLES)
