"""tus 1.0.0, Checksum: known answers, and what is refused before a byte is read."""

from __future__ import annotations

from base64 import b64decode

import pytest

from tusd_py.core.checksums import ALGORITHMS, Checksum, Digests, check_algorithm
from tusd_py.core.errors import ChecksumMismatchError, InvalidChecksumError, UnsupportedChecksumError

KNOWN = {
    # the digests of "hello world" in Base64; sha1 is the example of tus 1.0.0, Checksum
    "sha1": "Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
    "sha256": "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
    "sha512": ("MJ7MSJwS1utMxA9QyQLytNDtd+5RGnx6m808qG1M2G+YndNbxf9JlnDaNCVbRbDP2DDoH2Bdz33FVC6TrpzXbw=="),
    "md5": "XrY7u+Ae7tCTyyK7j1rNww==",
    "crc32": "DUoRhQ==",
}


def known(algorithm: str) -> Checksum:
    return Checksum(algorithm=algorithm, digest=b64decode(KNOWN[algorithm]))


def test_every_algorithm_has_a_known_answer() -> None:
    """The table above is total."""
    assert set(KNOWN) == set(ALGORITHMS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_known_answer_is_right(algorithm: str) -> None:
    """Taken whole or piece by piece, empty pieces included."""
    for pieces in ([b"hello world"], [b"hello", b"", b" wor", b"ld"], [bytes([n]) for n in b"hello world"]):
        digests = Digests([algorithm])
        for piece in pieces:
            digests.update(piece)

        digests.verify("one", known(algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("data", [b"", b"hello worle", b"hello world\n"])
def test_other_bytes_are_a_mismatch(algorithm: str, data: bytes) -> None:
    """The error names the upload and the algorithm."""
    digests = Digests([algorithm])
    digests.update(data)

    with pytest.raises(ChecksumMismatchError) as caught:
        digests.verify("one", known(algorithm))

    assert (caught.value.upload_id, caught.value.algorithm) == ("one", algorithm)


def test_several_sums_are_taken_in_one_pass() -> None:
    """A trailer says only afterwards which one counts, and any may be asked for, more than once."""
    digests = Digests(ALGORITHMS)
    digests.update(b"hello world")

    for algorithm in [*ALGORITHMS, *ALGORITHMS]:
        digests.verify("one", known(algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_offered_can_be_verified(algorithm: str) -> None:
    """A digest of the algorithm's size passes; the table's size is that of the real digest."""
    check_algorithm(known(algorithm), ALGORITHMS)

    assert ALGORITHMS[algorithm][0] == len(ALGORITHMS[algorithm][1]().digest())


@pytest.mark.parametrize("algorithm", ["sha3", "SHA1", "sha-1", "", "sha512"])
def test_what_is_not_offered_is_refused(algorithm: str) -> None:
    """Names are compared as they are; the error says what would do, also from an iterator."""
    with pytest.raises(UnsupportedChecksumError) as caught:
        check_algorithm(Checksum(algorithm=algorithm, digest=b"x" * 20), iter(("sha1", "md5")))

    assert (caught.value.algorithm, caught.value.offered) == (algorithm, ("sha1", "md5"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_digest_of_the_wrong_size_is_refused(algorithm: str, change: int) -> None:
    """A byte more or less can never match, so it is malformed, not a mismatch."""
    digest = b"x" * (ALGORITHMS[algorithm][0] + change)

    with pytest.raises(InvalidChecksumError, match=f"{len(digest)} bytes"):
        check_algorithm(Checksum(algorithm=algorithm, digest=digest), ALGORITHMS)
