"""Make thumbnails of PNG pictures, with nothing but the standard library.

Each pixel of a thumbnail is the mean of the box of pixels it stands for. Reads 8-bit PNG files in grey, RGB,
with or without transparency, not interlaced.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trigger_lite import AbortTaskRun, get_logger, metadata, task

log = get_logger()
HERE = Path(__file__).parent
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


@dataclass
class Thumbnail:
    path: Path
    width: int
    height: int
    size: int


@dataclass
class Picture:
    width: int
    height: int
    colour: int
    rows: list[bytes]

    @property
    def channels(self) -> int:
        return CHANNELS[self.colour]


@task(concurrency=2, max_duration="5m", tags=["image"])
def make_thumbnail(
    source: Path = HERE / "picture.png", width: int = 64, target: Path | None = None
) -> Thumbnail:
    """Write a smaller copy of a PNG picture beside it, or to `target`."""
    try:
        picture = read_png(source.read_bytes())
    except (ValueError, KeyError, struct.error, zlib.error) as error:
        raise AbortTaskRun(f"{source} cannot be read as a PNG picture: {error}") from error
    metadata.set("source", {"width": picture.width, "height": picture.height})
    small = shrink(picture, min(width, picture.width))
    path = target or source.with_name(f"{source.stem}-{small.width}.png")
    path.write_bytes(write_png(small))
    log.info("wrote a thumbnail", path=str(path), width=small.width, height=small.height)
    return Thumbnail(path, small.width, small.height, path.stat().st_size)


def shrink(picture: Picture, width: int) -> Picture:
    """Return the picture at this width, with its proportions kept."""
    height = max(1, round(picture.height * width / picture.width))
    rows: list[bytes] = []
    for y in range(height):
        box = picture.rows[y * picture.height // height : max(1, (y + 1) * picture.height // height)]
        rows.append(bytes(shrink_row(box, picture, width)))
        metadata.set("progress", round((y + 1) / height, 2))
    return Picture(width, height, picture.colour, rows)


def shrink_row(box: list[bytes], picture: Picture, width: int) -> Iterator[int]:
    """Give the mean of each box of pixels, channel by channel."""
    step = picture.channels
    for x in range(width):
        first, last = x * picture.width // width, (x + 1) * picture.width // width
        for channel in range(step):
            values = [value for row in box for value in row[first * step + channel : last * step : step]]
            yield sum(values) // len(values)


def read_png(data: bytes) -> Picture:
    """Return the picture in a PNG file; raises ValueError for what it cannot read."""
    if not data.startswith(SIGNATURE):
        raise ValueError("it does not begin like one")
    chunks = list(png_chunks(data))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"])
    if depth != 8 or colour not in CHANNELS or interlaced:
        raise ValueError("only 8-bit grey or RGB without interlacing is understood")
    packed = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    step, stride = CHANNELS[colour], width * CHANNELS[colour]
    rows: list[bytes] = []
    above = bytes(stride)
    for start in range(0, height * (stride + 1), stride + 1):
        above = unfilter(packed[start], packed[start + 1 : start + 1 + stride], above, step)
        rows.append(above)
    return Picture(width, height, colour, rows)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give name and content of each chunk of a PNG file."""
    at = len(SIGNATURE)
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + 8 + size]
        at += 12 + size


def unfilter(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    """Return the bytes of one row, of which PNG stores the differences to its neighbours."""
    if kind == 0:
        return line
    row = bytearray(len(line))
    for i, value in enumerate(line):
        left = row[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        guesses = (0, left, above[i], (left + above[i]) // 2, nearest(left, above[i], corner))
        row[i] = (value + guesses[kind]) & 255
    return bytes(row)


def nearest(left: int, above: int, corner: int) -> int:
    """Return the neighbour nearest to the plane through all three (Paeth)."""
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))


def write_png(picture: Picture) -> bytes:
    """Return a PNG file of the picture."""
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, picture.colour, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in picture.rows), 9)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
