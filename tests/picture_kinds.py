"""Small pictures of every kind that people bring, and sets of them in every form that is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def scene(mode: str = "RGB", size: tuple[int, int] = (40, 40), seed: int = 0) -> Image.Image:
    """Smooth colours with a bright corner, so that every turn and every cut shows."""
    rng = np.random.default_rng(seed)
    blobs = Image.fromarray(rng.integers(0, 200, (4, 4, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    blobs.paste((250, 240, 90), (0, 0, max(1, size[0] // 4), max(1, size[1] // 3)))
    return blobs.convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def transparent(mode: str, seed: int) -> Image.Image:
    alpha = np.zeros((40, 40), np.uint8)
    alpha[8:30, 4:33] = np.linspace(0, 255, 29).astype(np.uint8)
    image = scene("RGB", seed=seed)
    image.putalpha(Image.fromarray(alpha))
    return image.convert(mode)


def palette(seed: int, **options: object) -> bytes:
    image = scene(seed=seed).quantize(16)
    return encoded(image, **options)


def oriented(orientation: int, seed: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(scene(size=(48, 30), seed=seed), kind, exif=exif)


def grey_on_white(seed: int) -> Image.Image:
    paper = Image.new("L", (36, 36), 250)
    paper.paste(20 + seed, (10, 6, 20 + seed, 24))
    return paper


def deep(seed: int) -> Image.Image:
    values = np.asarray(scene("L", seed=seed)).astype(np.uint16) * 257
    return Image.fromarray(values)


KINDS: dict[str, Callable[[int], bytes]] = {
    "plain.png": lambda s: encoded(scene(seed=s)),
    "rgba.png": lambda s: encoded(transparent("RGBA", s)),
    "la.png": lambda s: encoded(transparent("LA", s)),
    "palette-trns.png": lambda s: palette(s, transparency=3),
    "rgb-trns.png": lambda s: encoded(scene(seed=s), transparency=(250, 240, 90)),
    "grey-trns.png": lambda s: encoded(grey_on_white(s), transparency=250),
    "rgba.webp": lambda s: encoded(transparent("RGBA", s), "WEBP", lossless=True),
    "grey-on-white.png": lambda s: encoded(grey_on_white(s)),
    "grey-on-black.png": lambda s: encoded(grey_on_white(s).point(lambda v: 255 - v)),
    "wide.png": lambda s: encoded(scene(size=(60, 30), seed=s)),
    "tall.jpg": lambda s: encoded(scene(size=(31, 62), seed=s), "JPEG"),
    **{f"exif-{o}.jpg": lambda s, o=o: oriented(o, s) for o in range(1, 9)},
    "exif-6.png": lambda s: oriented(6, s, "PNG"),
    "exif-5.webp": lambda s: oriented(5, s, "WEBP"),
    "deep.png": lambda s: encoded(deep(s)),
    "cmyk.jpg": lambda s: encoded(scene("CMYK", seed=s), "JPEG"),
    "grey.jpg": lambda s: encoded(scene("L", seed=s), "JPEG"),
    "palette.gif": lambda s: encoded(scene(seed=s), "GIF"),
    "transparent.gif": lambda s: encoded(transparent("RGBA", s), "GIF"),
    "grey-palette.png": lambda s: encoded(scene("L", seed=s).quantize(8)),
    "bits.png": lambda s: encoded(scene("1", seed=s)),
    "bits.bmp": lambda s: encoded(scene("1", seed=s), "BMP"),
    "tiny.png": lambda s: encoded(scene(size=(5, 4), seed=s)),
    "strip.png": lambda s: encoded(scene(size=(90, 4), seed=s)),
}
MORE: dict[str, Callable[[int], bytes]] = {  # that the page refuses
    "picture.tiff": lambda s: encoded(scene(seed=s), "TIFF"),
    "deep.tif": lambda s: encoded(deep(s), "TIFF"),
    "deep.pgm": lambda s: encoded(deep(s), "PPM"),
    "grey.pgm": lambda s: encoded(scene("L", seed=s), "PPM"),
}
COUNT = 3  # of a kind in each part


def files(kind: str) -> dict[str, list[bytes]]:
    """Part -> files."""
    make = (KINDS | MORE)[kind]
    return {part: [make(3 * p + s) for s in range(COUNT)] for p, part in enumerate(("train", "test", "val"))}


def as_folder(root: Path, kind: str) -> Path:
    for part, found in files(kind).items():
        for i, content in enumerate(found):
            file = root / "set" / part / f"c{i}" / f"{i}-{kind}"
            file.parent.mkdir(parents=True)
            file.write_bytes(content)
    return root / "set"


def rows(kind: str) -> list[tuple[bytes, str, str]]:
    return [
        (content, f"c{i}", part) for part, found in files(kind).items() for i, content in enumerate(found)
    ]


def as_csv(root: Path, kind: str) -> Path:
    lines = ["path,label,split"]
    for i, (content, label, part) in enumerate(rows(kind)):
        (root / f"{i}-{kind}").write_bytes(content)
        lines.append(f"{i}-{kind},{label},{part}")
    (root / "set.csv").write_text("\n".join(lines) + "\n")
    return root / "set.csv"


def as_parquet(root: Path, kind: str) -> Path:
    import pandas

    frame = pandas.DataFrame([({"bytes": b, "path": None}, c, p) for b, c, p in rows(kind)])
    frame.columns = ["image", "label", "split"]
    frame.to_parquet(root / "set.parquet")
    return root / "set.parquet"


def as_npz(root: Path, kind: str) -> Path:
    """A stream of files."""
    found = rows(kind)
    codes = {"train": 0, "test": 1, "val": 2}
    np.savez(
        root / "set.npz",
        jpeg=np.frombuffer(b"".join(b for b, *_ in found), np.uint8),
        offset=np.cumsum([0, *(len(b) for b, *_ in found)]),
        labels=np.array([c for _, c, _ in found]),
        split=np.array([codes[p] for *_, p in found]),
    )
    return root / "set.npz"


FORMS = {"folder": as_folder, "csv": as_csv, "parquet": as_parquet, "npz": as_npz}
