"""Sizes as people read them."""


def size_text(count: int) -> str:
    """Return a number of bytes in the largest unit that leaves a whole part: `12 MB`, `3.4 GB`."""
    size, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if size < 1_000:
            break
        size, unit = size / 1_000, larger
    return f"{size:.1f} {unit}" if unit in ("GB", "TB") else f"{size:.0f} {unit}"
