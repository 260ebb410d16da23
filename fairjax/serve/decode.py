"""From encoded images to pixels of a model's size, by Pillow, as training sees them."""

import io
import warnings

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from fairjax.data.duplicates import require_proportions
from fairjax.data.formats.upright import upright

# What reading and decoding an image raises; KeyError where it was not there when it was listed.
UNREADABLE = (OSError, KeyError, SyntaxError, ValueError, Image.DecompressionBombError)


def decode(encoded: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """RGB pixels of a JPEG or PNG file, turned as its EXIF orientation says.

    Raises:
      OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError: If it cannot be decoded,
        or has a size that no face picture has.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(upright(encoded)), formats=("JPEG", "PNG")) as image:
            require_proportions(*image.size)
            return np.asarray(image.convert("RGB"))


def reason_of(error: BaseException) -> str:
    """Why an image cannot be read, in one line."""
    if isinstance(error, KeyError):
        return "it is not there"
    if isinstance(error, UnidentifiedImageError):  # its message names an object in memory
        return "it is no JPEG or PNG image"
    reason = getattr(error, "strerror", "") or str(error) or repr(error)
    return " ".join(reason.split())


def resize(
    pixels: UInt8[np.ndarray, "height width 3"], *, height: int, width: int
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """The image at another size: a triangle filter, wider when shrinking.

    Training resizes in the same way; the results differ by at most one level of 255, where a value
    lies half-way between two levels.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    channels = [
        np.asarray(
            Image.fromarray(pixels[..., c].astype(np.float32)).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        for c in range(3)
    ]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
