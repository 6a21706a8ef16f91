"""Pictures in, pictures out, by Pillow; knows nothing of events.

Safe on anybody's bytes: only the formats below are tried, the number of pixels is read from the
header and bounded before a pixel is decoded, and of an animation only the first frame is looked
at. Whatever is wrong with the input is an `Unusable`.
"""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from typing import Any

# Imported by name, so that they are in the snapshot and no call waits for them.
from PIL import (
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    ImageOps,
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

PIXELS_MAX = int(os.environ.get("PIXELS_MAX", "50000000"))
SIDE_MAX = 16_384
FORMATS = ("webp", "jpeg", "png", "avif", "gif", "tiff")
FITS = ("inside", "cover", "fill")
_READABLE = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
_WITH_ALPHA = ("webp", "png", "avif", "tiff")
_WITH_QUALITY = ("webp", "jpeg", "avif")
_SAVE: dict[str, dict[str, Any]] = {
    "webp": {"method": 4},
    "jpeg": {"optimize": True, "progressive": True},
    "png": {"optimize": False, "compress_level": 6},
    "avif": {"speed": 8},
    "gif": {},
    "tiff": {"compression": "tiff_lzw"},
}
_WHITE = (255, 255, 255)
_ORIENTATION_TAG = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_SIXTEEN_TO_EIGHT_BIT = 1 / 256


class Unusable(Exception):
    """The image or what was asked for cannot be used; the message is for the caller."""


@dataclass(frozen=True)
class Wish:
    """What is wanted.

    Args:
        format: One of FORMATS, or "" for that of the source.
        width: Pixels; None leaves it to the height, and both None keep the size.
        fit: "inside" keeps the proportions within the box and never enlarges; "cover" fills
            the box and crops from the middle; "fill" stretches.
        quality: 1 to 100, for webp, jpeg and avif.
        strip: Leave out EXIF (camera, place, time); the colour profile always stays.
    """

    format: str = ""
    width: int | None = None
    height: int | None = None
    fit: str = "inside"
    quality: int = 80
    strip: bool = True


@dataclass(frozen=True)
class Picture:
    """An encoded image."""

    data: bytes
    format: str
    width: int
    height: int


def convert(data: bytes, wish: Wish) -> Picture:
    """Make the picture that is wished for from an encoded image.

    Raises:
        Unusable: The bytes are no image that can be read, or too large a one.
    """
    try:
        with warnings.catch_warnings():
            # Pillow compares the header's size with MAX_IMAGE_PIXELS, set below, and only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _converted(data, wish)
    except Unusable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(
            f"the image has more than {PIXELS_MAX:,} pixels; to allow it, raise PIXELS_MAX and the "
            "memory in mayfly.toml"
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        # What Pillow's decoders raise on damaged input.
        raise Unusable(f"the image is damaged or cut short ({error})") from error


def _converted(data: bytes, wish: Wish) -> Picture:
    source = _opened(data)
    made_format = wish.format or _own_format(source)
    turned = source.getexif().get(_ORIENTATION_TAG, 1) in _SIDEWAYS
    upright = (source.height, source.width) if turned else source.size
    target = _target(upright, wish)
    _decode_no_larger_than_needed(source, target, upright, turned=turned)
    image = _plain(ImageOps.exif_transpose(source), alpha=made_format in _WITH_ALPHA)
    image = _resized(image, target, wish.fit)
    return Picture(_encoded(image, source, made_format, wish), made_format, *image.size)


def _opened(data: bytes) -> Image.Image:
    """The image with its header read and nothing decoded."""
    try:
        return Image.open(io.BytesIO(data), formats=_READABLE)
    except UnidentifiedImageError:
        raise Unusable(
            f"the {len(data)} bytes are no image that can be read: send "
            "jpeg, png, webp, avif, gif, tiff or bmp"
        ) from None


def _own_format(source: Image.Image) -> str:
    name = (source.format or "").lower()
    if name == "mpo":  # several JPEGs in one, as some cameras write them
        return "jpeg"
    return name if name in FORMATS else "png"


def _target(size: tuple[int, int], wish: Wish) -> tuple[int, int]:
    """The box to fill, or the size to have, for an image of `size`."""
    width, height = size
    if wish.width is None and wish.height is None:
        return size
    if wish.width is None or wish.height is None or wish.fit == "inside":
        factor = min((wish.width or SIDE_MAX) / width, (wish.height or SIDE_MAX) / height, 1.0)
        return max(1, round(width * factor)), max(1, round(height * factor))
    return wish.width, wish.height


def _decode_no_larger_than_needed(
    source: Image.Image, target: tuple[int, int], upright: tuple[int, int], *, turned: bool
) -> None:
    """Let libjpeg decode at a half, a quarter or an eighth, no less than twice the target."""
    if target != upright and source.format in ("JPEG", "MPO"):
        width, height = reversed(target) if turned else target
        source.draft(None, (2 * width, 2 * height))


def _plain(image: Image.Image, *, alpha: bool) -> Image.Image:
    """In a mode that every step below understands: L, RGB or RGBA."""
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value * _SIXTEEN_TO_EIGHT_BIT).convert("L")
    if image.mode in ("L", "RGB"):
        return image if "transparency" not in image.info else _plain_alpha(image, alpha=alpha)
    if image.mode in ("RGBA", "LA", "PA", "P", "RGBa", "La"):
        return _plain_alpha(image, alpha=alpha)
    return image.convert("L" if image.mode in ("1", "F") else "RGB")


def _plain_alpha(image: Image.Image, *, alpha: bool) -> Image.Image:
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    if alpha:
        return image
    ground = Image.new("RGB", image.size, _WHITE)
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _resized(image: Image.Image, target: tuple[int, int], fit: str) -> Image.Image:
    if target == image.size:
        return image
    if fit == "cover":
        return ImageOps.fit(image, target, Image.Resampling.LANCZOS)
    return image.resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _encoded(image: Image.Image, source: Image.Image, made_format: str, wish: Wish) -> bytes:
    options = dict(_SAVE[made_format])
    if made_format in _WITH_QUALITY:
        options["quality"] = wish.quality
    if profile := source.info.get("icc_profile"):
        options["icc_profile"] = profile
    if not wish.strip and made_format != "gif":
        exif = source.getexif()
        exif.pop(_ORIENTATION_TAG, None)  # the pixels stand upright now
        options["exif"] = exif.tobytes()
    for key in ("exif", "xmp", "comment"):
        image.info.pop(key, None)  # some encoders take them from here
    buffer = io.BytesIO()
    image.save(buffer, made_format, **options)
    return buffer.getvalue()


Image.MAX_IMAGE_PIXELS = PIXELS_MAX
