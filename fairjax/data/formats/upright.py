"""Pictures that a camera stored on their side: turned as their EXIF orientation says."""

import io

from PIL import Image, ImageOps

_ORIENTATION = 0x0112
_HEAD = 1 << 16  # bytes in which a JPEG's or PNG's EXIF data begin


def is_rotated(encoded: bytes) -> bool:
    """Whether the EXIF data of a JPEG or PNG file say that it is to be turned or mirrored."""
    head = encoded[:_HEAD]
    if b"Exif" not in head and b"eXIf" not in head:
        return False
    try:
        with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")) as image:
            return image.getexif().get(_ORIENTATION, 1) not in (0, 1)
    except (OSError, SyntaxError, ValueError):  # whoever decodes it says what is wrong
        return False


def upright(encoded: bytes) -> bytes:
    """The file itself, or a PNG file of the picture turned as its EXIF orientation says.

    Training decodes without regard to EXIF, so a rotated picture would be seen on its side.
    """
    if not is_rotated(encoded):
        return encoded
    with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")) as image:
        turned = ImageOps.exif_transpose(image.convert("RGB") if image.mode == "P" else image)
    stored = io.BytesIO()
    turned.convert("RGB").save(stored, "PNG")
    return stored.getvalue()
