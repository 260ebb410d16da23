"""Drawn pictures and UTKFace-like sources; the cache stays in the test's own folder."""

import io
import pickle
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FAIRJAX_DATA", raising=False)


@pytest.fixture(scope="session")
def picture() -> Callable[[int], Image.Image]:
    """Seed -> a 200 x 200 picture of soft coloured blobs: detail at every scale, nobody's face."""

    def draw(seed: int) -> Image.Image:
        rng = np.random.default_rng(seed)
        canvas = np.full((200, 200, 3), 128.0)
        for cells, strength in ((3, 40), (8, 30), (20, 20), (50, 10)):
            noise = (rng.random((cells, cells, 3)) * 255).astype(np.uint8)
            layer = Image.fromarray(noise).resize((200, 200), Image.Resampling.BICUBIC)
            canvas += (np.asarray(layer, np.float64) - 128) * strength / 64
        return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))

    return draw


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    """An image as JPEG bytes."""

    def encode(image: Image.Image, quality: int = 90) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def face() -> Callable[[int], bytes]:
    """Seed -> a small JPEG of its own, nobody's face."""

    def draw(seed: int) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((24, 24)).save(buffer, "JPEG")
        return buffer.getvalue()

    return draw


@pytest.fixture(scope="session")
def people_files(face: Callable[[int], bytes]) -> Callable[..., dict[str, bytes]]:
    """{person: number of images} -> files <person>/<name>_NNNN.jpg, each picture its own."""

    def files(people: Mapping[str, int], first: int = 0) -> dict[str, bytes]:
        names = [
            f"{person}/{person.rpartition('/')[2]}_{k:04d}.jpg"
            for person, images in people.items()
            for k in range(1, images + 1)
        ]
        return {name: face(first + k) for k, name in enumerate(names)}

    return files


@pytest.fixture
def write_bin() -> Callable[..., Path]:
    """Writes (image, image, mated) triples as InsightFace's .bin."""

    def write(path: Path, pairs: Sequence[tuple[bytes, bytes, bool]], protocol: int = 4) -> Path:
        images = [image for pair in pairs for image in pair[:2]]
        path.write_bytes(pickle.dumps((images, [pair[2] for pair in pairs]), protocol))
        return path

    return write


@pytest.fixture
def write_folder() -> Callable[[Path, Mapping[str, bytes]], Path]:
    """Writes named files below a folder, making the folders between."""

    def write(folder: Path, files: Mapping[str, bytes]) -> Path:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    return write


@pytest.fixture
def write_tar() -> Callable[[Path, Mapping[str, bytes]], Path]:
    """Writes named members into an uncompressed archive, whatever their names."""

    def write(path: Path, files: Mapping[str, bytes]) -> Path:
        with tarfile.open(path, "w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    return write


@pytest.fixture(scope="session")
def utkface_files(picture: Callable, jpeg: Callable) -> dict[str, bytes]:
    """Two hundred small pictures, twenty a race and gender, under UTKFace names."""
    return {
        f"{5 + 10 * (k % 4)}_{gender}_{race}_201701{k:02d}000000000.jpg.chip.jpg": jpeg(
            picture(1000 * race + 100 * gender + k).resize((64, 64))
        )
        for race in range(5)
        for gender in range(2)
        for k in range(20)
    }
