"""tus 1.0.0, Concatenation: parts that were sent apart become one upload, byte by byte in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess
from tests.wire.conftest import MAX_SIZE
from tests.wire.joins import PARTIAL, ask_to_join, id_of, join, progress
from tests.wire.sums import checksum
from tests.wire.tus import CHUNK_TYPE, UNKNOWN, Tus, path_of
from tests.wire.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.wire.conftest import LogLines

A, B = make_bytes(300_000, seed=110), make_bytes(200_001, seed=111)


# -- the join -------------------------------------------------------------------------------------


def test_a_join_is_its_parts_in_the_order_of_the_list(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: lengths add up, bytes follow each other; no length is sent.

    (T-110, T-111, T-113, T-114, T-123)
    """
    a, b = tus.upload(A, PARTIAL), tus.upload(B, PARTIAL)

    ab, ba = join(tus, a, b), join(tus, b, a)

    assert "concatenation" in tus.ask("OPTIONS").listed("Tus-Extension")
    assert progress(tus, ab) == progress(tus, ba) == ("500001", "500001", None)
    assert sha256(tus.content(ab)) == sha256(A + B)
    assert sha256(tus.content(ba)) == sha256(B + A)


def test_a_join_is_published_and_served(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: once joined a final is an upload like others (T-117, T-123, C-22)."""
    a, b = tus.upload(A, PARTIAL), tus.upload(B, PARTIAL)

    answer = ask_to_join(tus, a, b, **{"Upload-Metadata": "filename YS5wbmc="})

    name = f"{id_of(path_of(answer))}.png"
    assert answer.status == 201
    assert answer.get("Content-Location") == f"http://files.test/uploads/{name}"
    assert tus.ask("GET", f"/uploads/{name}").body == A + B
    assert tus.ask("GET", path_of(answer)).body == A + B
    assert tus.files(name) == {f"uploads/{name}": sha256(A + B)}


def test_a_part_may_come_twice_and_in_several_finals(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: partials stay, so that they can be used again (T-118, T-119)."""
    a, b = tus.upload(b"abc", PARTIAL), tus.upload(b"de", PARTIAL)

    finals = [join(tus, a, a), join(tus, a, b, a), join(tus, b)]

    assert [tus.content(final) for final in finals] == [b"abcabc", b"abcdeabc", b"de"]
    assert [progress(tus, part) for part in (a, b)] == [("3", "3", None), ("2", "2", None)]


def test_empty_parts_are_parts(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: more parts than bytes: some of them are empty (T-132)."""
    empty, a = tus.create(0, PARTIAL), tus.upload(b"abc", PARTIAL)

    finals = [join(tus, empty, a, empty), join(tus, empty)]

    assert [tus.content(final) for final in finals] == [b"abc", b""]
    assert [progress(tus, final)[:2] for final in finals] == [("3", "3"), ("0", "0")]


def test_a_part_may_come_with_its_creation(tus: Tus) -> None:
    """tus 1.0.0, Creation With Upload: of a partial as of others, with its sum (T-074, T-101)."""
    fields = {**PARTIAL, "Upload-Length": "3", "Content-Type": CHUNK_TYPE, **checksum(b"abc")}

    answer = tus.ask("POST", fields=fields, body=b"abc")

    assert (answer.status, answer.get("Upload-Offset")) == (201, "3")
    assert tus.content(join(tus, path_of(answer))) == b"abc"


def test_a_part_is_no_file_of_its_own(tus: Tus, server_log: LogLines) -> None:
    """tus 1.0.0, Concatenation: partials are not processed by themselves, the final once (T-112)."""
    part = tus.upload(b"abc", PARTIAL)
    before = tus.ask("GET", f"/uploads/{id_of(part)}")
    answer = ask_to_join(tus, part, part)
    head = tus.head(part)

    server_log.access(answer.get("X-Request-ID") or "")
    finished = [line for line in server_log if "upload finished" in line]
    assert sum(id_of(path_of(answer)) in line for line in finished) == 1
    assert not any(id_of(part) in line for line in finished)
    assert (before.status, head.get("Content-Location")) == (404, None)
    assert set(tus.files(id_of(part))) == {f"incoming/{id_of(part)}", f"incoming/{id_of(part)}.json"}


def test_the_metadata_of_parts_stays_with_them(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: a final has the metadata of its own creation only (T-116, T-117)."""
    part = tus.upload(b"abc", {**PARTIAL, "Upload-Metadata": "filename YS5wbmc=,k dg=="})

    bare = tus.head(join(tus, part))
    own = tus.head(path_of(ask_to_join(tus, part, **{"Upload-Metadata": "k d3d3"})))

    assert (bare.get("Upload-Metadata"), own.get("Upload-Metadata")) == (None, "k d3d3")
    assert tus.head(part).get("Upload-Metadata") == "filename YS5wbmc=,k dg=="


# -- what is told of it ---------------------------------------------------------------------------


def test_head_of_a_part_has_its_offset(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: Upload-Offset on a partial, before and after the join (T-124, T-126)."""
    part = tus.create(6, PARTIAL)
    told = [tus.head(part)]
    for offset, piece in ((0, b"abc"), (3, b"def")):
        tus.patch(part, offset, piece)
        told.append(tus.head(part))
    join(tus, part)
    told.append(tus.head(part))

    assert [answer.get("Upload-Offset") for answer in told] == ["0", "3", "6", "6"]
    assert {answer.get("Upload-Length") for answer in told} == {"6"}
    assert {answer.get("Upload-Concat") for answer in told} == {"partial"}


def test_ordinary_uploads_say_nothing_of_joins(tus: Tus) -> None:
    """tus 1.0.0, Upload-Concat: only on partials and finals (T-126)."""
    assert tus.head(tus.upload(b"abc")).get("Upload-Concat") is None


@pytest.mark.parametrize(
    "form",
    [
        "final;{a} {b}",
        "final;http://files.test{a} http://files.test{b}",
        "final;http://files.test:80{a} HTTP://FILES.TEST{b}",
        "final;//files.test{a} {b}",
        "final;{a}/ {b}",
        "final; {a}   {b}",
        "final;{a}\t{b}",
    ],
)
def test_parts_are_named_by_path_or_url(tus: Tus, form: str) -> None:
    """tus 1.0.0, Upload-Concat: relative or absolute, and told again as it came (T-126, T-128, C-06)."""
    a, b = tus.upload(b"abc", PARTIAL), tus.upload(b"de", PARTIAL)
    given = form.format(a=a, b=b)

    answer = tus.ask("POST", fields={"Upload-Concat": given})

    assert answer.status == 201
    assert tus.content(path_of(answer)) == b"abcde"
    assert tus.head(path_of(answer)).get("Upload-Concat") == given


def test_parts_are_named_as_the_proxy_names_them(tmp_path: Path) -> None:
    """tus 1.0.0, Upload-Concat: behind a proxy the public address is ours (T-128, C-06)."""
    public = {"Forwarded": "host=up.example;proto=https"}
    with ServerProcess(tmp_path / "store", "--behind-proxy") as server:
        tus = Tus.of(server)
        part = tus.upload(b"abc", PARTIAL)
        fields = {"Upload-Concat": f"final;https://up.example{part}", **public}
        ours = tus.ask("POST", fields=fields)
        fields["Upload-Concat"] = f"final;https://files.test{part}"
        foreign = tus.ask("POST", fields=fields)

    assert (ours.status, foreign.status) == (201, 400)


def test_a_long_list_fits_into_one_line(tus: Tus) -> None:
    """tus 1.0.0, Upload-Concat: 400 absolute URLs, some 21 kB in one field (T-114, T-126, C-26)."""
    data = [make_bytes(size, seed=size) for size in (1, 7, 100, 3)]
    parts = [tus.upload(each, PARTIAL) for each in data]
    urls = [f"http://files.test{parts[n * n % 4]}" for n in range(400)]

    final = join(tus, *urls)

    assert tus.head(final).get("Upload-Concat") == "final;" + " ".join(urls)
    assert sha256(tus.content(final)) == sha256(b"".join(data[n * n % 4] for n in range(400)))


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Partial",
        "PARTIAL",
        "partial;",
        "partial;{a}",
        "partial, partial",
        "final",
        "final;",
        "final; ",
        "Final;{a}",
        "final,{a}",
        "final;{a},{a}",
        "final {a}",
        "foo",
        "final;foo",
        "final;/uploads/x",
        "final;{a}/x",
        "final;/files/../files/{id}",
        "final;/files/%2e%2e/x",
        "final;{id}",
        "final;http://[{a}",
        "final;mailto:{id}",
        "final;{a} \xe4",
    ],
)
def test_what_is_no_list_of_uploads_is_refused(tus: Tus, value: str) -> None:
    """tus 1.0.0, Upload-Concat: `partial`, or `final;` and URLs; anything else is 400 (T-127, T-129)."""
    part = tus.upload(b"abc", PARTIAL)
    given = value.format(a=part, id=id_of(part))

    with tus.nothing_stored():
        answer = tus.ask("POST", fields={"Upload-Length": "3", "Upload-Concat": given})

    assert answer.status == 400
    assert answer.body.startswith(b"ERR_INVALID_CONCAT: ")
    assert answer.get("Location") is None


def test_only_own_partial_uploads_are_joined(tus: Tus) -> None:
    """tus 1.0.0, Upload-Concat: none unknown, ordinary, joined or foreign; nothing is fetched (T-129)."""
    part, plain = tus.upload(b"abc", PARTIAL), tus.upload(b"abc")
    final = join(tus, part)
    names = [
        f"/files/{UNKNOWN}",
        plain,
        final,
        f"http://elsewhere.test{part}",
        f"http://files.test:8080{part}",
        f"http://files.test@elsewhere.test{part}",
        f"//elsewhere.test{part}",
    ]

    with tus.nothing_stored():
        answers = [ask_to_join(tus, part, name) for name in names]

    assert [answer.status for answer in answers] == [404, *[400] * 6]
    assert [answer.get("Location") for answer in answers] == [None] * 7


@pytest.mark.parametrize(
    "fields", [{"Upload-Length": "3"}, {"Upload-Length": "x"}, {"Upload-Defer-Length": "1"}]
)
def test_a_final_has_no_length_of_its_own(tus: Tus, fields: dict[str, str]) -> None:
    """tus 1.0.0, Concatenation: clients MUST NOT send one; who does is told so: 400 (T-111)."""
    part = tus.upload(b"abc", PARTIAL)

    with tus.nothing_stored():
        answer = ask_to_join(tus, part, **fields)

    assert answer.status == 400
    assert answer.body.startswith(b"ERR_INVALID_UPLOAD_LENGTH: ")


@pytest.mark.parametrize("body", [b"x", b""])
def test_a_final_takes_no_body(tus: Tus, body: bytes) -> None:
    """tus 1.0.0, Concatenation: bytes of its own are refused at the creation already: 403 (T-131)."""
    part = tus.upload(b"abc", PARTIAL)

    with tus.nothing_stored():
        fields = {"Upload-Concat": f"final;{part}", "Content-Type": CHUNK_TYPE}
        answer = tus.ask("POST", fields=fields, body=body)

    assert answer.status == 403
    assert answer.body.startswith(b"ERR_MODIFY_FINAL: ")


def test_a_final_may_not_be_too_large(tus: Tus) -> None:
    """tus 1.0.0, Creation: the sum of the parts counts for Tus-Max-Size, finished or not (T-066, T-130)."""
    parts = [tus.create(MAX_SIZE // 2, PARTIAL), tus.create(MAX_SIZE // 2, PARTIAL)]
    byte, deferred = tus.create(1, PARTIAL), tus.create(None, PARTIAL)

    with tus.nothing_stored():
        refused = [ask_to_join(tus, *parts, byte), ask_to_join(tus, *parts, deferred, byte)]
    taken = ask_to_join(tus, *parts)

    assert [answer.status for answer in refused] == [413, 413]
    assert taken.status == 201


PATCHES: list[tuple[int, bytes, dict[str, str]]] = [
    (0, b"x", {}),
    (3, b"", {}),
    (3, b"x", {}),
    (99, b"x", {}),
    (3, b"x", {"Content-Type": "text/plain"}),
    (3, b"x", {"Upload-Offset": "x"}),
    (3, b"x", {"Upload-Length": "4"}),
    (3, b"x", checksum(b"?")),
]


@pytest.mark.parametrize(("offset", "body", "fields"), PATCHES)
def test_a_final_cannot_be_patched(tus: Tus, offset: int, body: bytes, fields: dict[str, str]) -> None:
    """tus 1.0.0, Concatenation: 403, before 409 and 415, joined or not; nothing moves (T-120, T-121)."""
    parts = [tus.upload(b"abc", PARTIAL), tus.create(3, PARTIAL)]
    joined, waiting = join(tus, parts[0]), join(tus, *parts)

    with tus.untouched(joined), tus.untouched(waiting), tus.untouched(parts[0]), tus.untouched(parts[1]):
        answers = [tus.patch(final, offset, body, fields) for final in (joined, waiting)]

    assert [answer.status for answer in answers] == [403, 403]
    assert all(answer.body.startswith(b"ERR_MODIFY_FINAL: ") for answer in answers)


@pytest.mark.parametrize("value", ["partial", "final;", f"final;/files/{UNKNOWN}", "nonsense"])
def test_upload_concat_means_nothing_elsewhere(tus: Tus, value: str) -> None:
    """tus 1.0.0, Upload-Concat: it is for creations; clients send it with every request (T-133)."""
    path, concat = tus.create(3), {"Upload-Concat": value}

    head, patched = tus.head(path, concat), tus.patch(path, 0, b"abc", concat)
    told, deleted = tus.head(path).get("Upload-Concat"), tus.ask("DELETE", path, concat)

    assert [head.status, patched.status, deleted.status] == [200, 204, 204]
    assert told is None


def test_joins_can_be_switched_off(tmp_path: Path) -> None:
    """tus 1.0.0, Upload-Concat: off is 400 on POST, never a plain upload, and ignored elsewhere (T-135)."""
    with ServerProcess(tmp_path / "store", "--disable-concatenation") as server:
        tus = Tus.of(server)
        path = tus.create(3)
        with tus.nothing_stored():
            partial = tus.ask("POST", fields={"Upload-Length": "3", **PARTIAL})
            final = ask_to_join(tus, path)
        patched = tus.patch(path, 0, b"abc", PARTIAL)

    assert [partial.status, final.status, patched.status] == [400, 400, 204]
    assert partial.body.startswith(b"ERR_UNSUPPORTED_EXTENSION: ")


# -- parts that go --------------------------------------------------------------------------------


def test_parts_and_joins_are_removed_one_by_one(tus: Tus) -> None:
    """tus 1.0.0, Termination: after the join neither needs the other (T-105, T-134)."""
    a, b = tus.upload(b"abc", PARTIAL), tus.upload(b"de", PARTIAL)
    final, other = join(tus, a, b), join(tus, b)

    deleted = [tus.ask("DELETE", path).status for path in (a, other)]

    assert deleted == [204, 204]
    assert [tus.head(path).status for path in (a, other, b, final)] == [404, 404, 200, 200]
    assert (tus.content(final), tus.content(b)) == (b"abcde", b"de")
    assert tus.files(id_of(a)) == tus.files(id_of(other)) == {}


def test_a_part_that_is_gone_cannot_be_joined(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: without the part no join: 404, and nothing is created (T-129, T-134)."""
    a, b = tus.upload(b"abc", PARTIAL), tus.upload(b"de", PARTIAL)
    tus.ask("DELETE", b)

    with tus.nothing_stored():
        answer = ask_to_join(tus, a, b)

    assert answer.status == 404
    assert answer.get("Location") is None


def test_a_join_that_waits_in_vain_says_so(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: a part removed before the join leaves the final without a way (T-134)."""
    a, b = tus.upload(b"abc", PARTIAL), tus.create(2, PARTIAL)
    final = join(tus, a, b)
    tus.ask("DELETE", b)

    told = tus.head(final)
    deleted = tus.ask("DELETE", final)

    assert (told.status, told.get("Upload-Offset")) == (410, None)
    assert deleted.status == 204
    assert tus.content(a) == b"abc"
    wait_until(lambda: tus.files(id_of(final)) == {}, "something is left of it")
