"""Take the pictures in docs/images again: `python -m tests.ui.shoot`.

They look best with the font Inter (Debian: fonts-inter).
"""

from __future__ import annotations

import array
import math
import random
import struct
import tempfile
import wave
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.payload import Payload
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess
from tests.ui.pages import Page, start_browser

if TYPE_CHECKING:
    from tests.interop.clients import Driver

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PLAYER = "document.querySelector('#recent audio')"
MB = 1024 * 1024


def write_speech(path: Path) -> None:
    """A minute of something that rises and falls as a voice does."""
    rate, source = 48_000, random.Random(4)
    samples = array.array("h")
    while len(samples) < 60 * rate:
        length, loud = source.uniform(0.12, 0.45), source.choice([0.0, 0.25, 0.5, 0.7, 0.9])
        count, pitch = int(length * rate), source.uniform(110, 240)
        for i in range(count):
            shape = math.sin(math.pi * i / count) * loud
            samples.append(int(12_000 * shape * math.sin(math.tau * pitch * i / rate)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def write_picture(path: Path) -> None:
    """A landscape of sorts, as PNG."""
    size = 240

    def colour(x: int, y: int) -> bytes:
        ridge = 150 + 22 * math.sin(x / 31) + 9 * math.sin(x / 11)
        if y > ridge:
            return bytes((38, 70 + (y - int(ridge)) // 3, 66))
        if (x - 165) ** 2 + (y - 70) ** 2 < 26**2:
            return bytes((255, 226, 170))
        return bytes((250 - y // 3, 158 + y // 5, 122 + y // 3))

    rows = b"".join(b"\0" + b"".join(colour(x, y) for x in range(size)) for y in range(size))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def arrive(page: Page, folder: Path) -> None:
    """A picture and a recording among the recent uploads."""
    picture = folder / "Lake Orta, evening.png"
    write_picture(picture)
    page.choose(picture)
    page.until_arrived(1)
    page.click("Record audio")
    page.until("document.getElementById('clock').innerText === '0:07'")
    page.click("Finish recording")
    page.until_arrived(2)
    page.until(f"Number.isFinite({PLAYER}.duration) && {PLAYER}.currentTime === 0")


def begin(page: Page, proxy: FaultProxy, folder: Path) -> None:
    """A film on its way."""
    film = folder / "Interview, second take.mp4"
    film.write_bytes(Payload(size=48 * MB, seed=1).data)
    proxy.slow(7 * MB)
    page.drop(film)
    page.until("Number.parseInt(document.querySelector('#transfers [data-share]').innerText) > 40")


def shoot(browser: Driver, name: str, folder: Path, **look: object) -> None:
    """One picture of the page in use; in the dark it is recording."""
    with (
        ServerProcess(folder / name, "--max-size", "50MiB") as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
    ):
        page = Page(browser, proxy.origin, **look)
        arrive(page, folder)
        if name != "page-light":
            page.click("Record audio")
            page.until("document.getElementById('clock').innerText === '0:16'")
        begin(page, proxy, folder)
        page.read("window.scrollTo(0, 0)")
        page.ask("shoot", path=str(IMAGES / f"{name}.png"))
        page.close()


def main() -> None:
    """All three."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_speech(folder / "speech.wav")
        with start_browser(folder, folder / "speech.wav") as browser:
            shoot(browser, "page-light", folder, scheme="light", size=[1000, 1080])
            shoot(browser, "page-dark", folder, scheme="dark", size=[1000, 1080])
            shoot(browser, "page-phone", folder, scheme="light", size=[390, 844], scale=2)


if __name__ == "__main__":
    main()
