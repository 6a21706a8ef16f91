"""Pictures in, pictures out, by Pillow; knows nothing of events.

Safe on anybody's bytes: only the formats below are tried, the number of pixels is read from the
header and bounded before a pixel is decoded, and so are the frames of an animation. Source and
target are open files, so that a large picture need not be in memory encoded as well as decoded.
Whatever is wrong with the input is an `Unusable`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

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
FRAMES_MAX = 1_000
SIDE_MAX = 16_384
FORMATS = ("webp", "jpeg", "png", "avif", "gif", "tiff")
FITS = ("inside", "cover", "fill")
_READABLE = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
_MOVING = ("webp", "png", "avif", "gif")
_WITHOUT_ALPHA = ("jpeg",)
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
# What turns a picture upright, by its EXIF orientation (EXIF 2.32, 4.6.4.A); 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_SIXTEEN_TO_EIGHT_BIT = 1 / 256
_FRAME_MS_DEFAULT = 100
# A frame, and for how many milliseconds it is shown.
_Shot = tuple[Image.Image, int]


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
        crop: x, y, width and height in pixels of the upright picture, cut out before it is sized.
        quality: 1 to 100, for webp, jpeg and avif.
        strip: Leave out EXIF (camera, place, time); the colour profile always stays.
        animate: Keep the frames of an animation where the format can; else the first one.
    """

    format: str = ""
    width: int | None = None
    height: int | None = None
    fit: str = "inside"
    crop: tuple[int, int, int, int] | None = None
    quality: int = 80
    strip: bool = True
    animate: bool = True


@dataclass(frozen=True)
class Picture:
    """What was made: its measures; its bytes are in the target."""

    format: str
    width: int
    height: int
    frames: int


def convert(source: BinaryIO, wish: Wish, target: BinaryIO) -> Picture:
    """Write the picture that is wished for of an encoded one into `target`.

    Args:
        source: Read from its beginning; it must be able to seek.
        target: Half written when this raises.

    Raises:
        Unusable: The bytes are no image that can be read, or too large a one.
    """
    source.seek(0)
    try:
        with warnings.catch_warnings():
            # Pillow compares the header's size with MAX_IMAGE_PIXELS, set below, and only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _converted(source, wish, target)
    except Unusable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(
            f"the image has more than {PIXELS_MAX:,} pixels; to allow it, raise PIXELS_MAX and the "
            "memory in mayfly.toml"
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the picture's
        # What Pillow's decoders raise on damaged input.
        raise Unusable(f"the image is damaged or cut short ({error})") from error


def _converted(file: BinaryIO, wish: Wish, target: BinaryIO) -> Picture:
    source = _opened(file)
    made_format = wish.format or _own_format(source)
    orientation = source.getexif().get(_ORIENTATION_TAG, 1)
    turned = orientation in _SIDEWAYS
    upright = (source.height, source.width) if turned else source.size
    cut = _cut(upright, wish)
    size = _target(cut[2:], wish)
    if wish.crop is None:
        _decode_no_larger_than_needed(source, size, upright, turned=turned)

    def shaped(frame: Image.Image) -> Image.Image:
        if orientation in _TURNS:
            frame = frame.transpose(_TURNS[orientation])
        if wish.crop is not None:
            x, y, width, height = cut
            frame = frame.crop((x, y, x + width, y + height))
        image = _plain(frame, alpha=made_format not in _WITHOUT_ALPHA)
        image = _resized(image, size, wish.fit)
        if image is source:
            image = image.copy()  # without what its file had beside the pixels
        image.info.clear()  # some encoders take comments, EXIF and more from here
        return image

    moving = _moves(source, made_format, wish)
    shots = [(shaped(one), ms) for one, ms in _frames(source, size, moving=moving)]
    first = shots[0][0]
    options = _options(source, made_format, wish)
    if profile := _profile(source, b"GRAY" if first.mode in ("L", "LA") else b"RGB "):
        options["icc_profile"] = profile
    if moving:
        options |= _moving_options(source, made_format, shots)
    first.save(target, made_format, **options)
    return Picture(made_format, *first.size, len(shots))


def _opened(file: BinaryIO) -> Image.Image:
    """The image with its header read and nothing decoded."""
    try:
        return Image.open(file, formats=_READABLE)
    except UnidentifiedImageError:
        raise Unusable(
            "the bytes are no image that can be read: send jpeg, png, webp, avif, gif, tiff or bmp"
        ) from None


def _own_format(source: Image.Image) -> str:
    name = (source.format or "").lower()
    if name == "mpo":  # several JPEGs in one, as some cameras write them
        return "jpeg"
    return name if name in FORMATS else "png"


def _cut(size: tuple[int, int], wish: Wish) -> tuple[int, int, int, int]:
    """The part of an image of `size` that is wanted: x, y, width, height."""
    if wish.crop is None:
        return (0, 0, *size)
    x, y, width, height = wish.crop
    if x + width > size[0] or y + height > size[1]:
        raise Unusable(
            f"crop {x},{y},{width},{height} reaches out of the picture, which has "
            f"{size[0]}x{size[1]} pixels"
        )
    return wish.crop


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


def _moves(source: Image.Image, made_format: str, wish: Wish) -> bool:
    """Whether an animation comes in and can go out. The pages of a TIFF are none."""
    given = (source.format or "").lower() in _MOVING
    return wish.animate and given and made_format in _MOVING and _count(source) > 1


def _count(source: Image.Image) -> int:
    return getattr(source, "n_frames", 1)


def _frames(source: Image.Image, size: tuple[int, int], *, moving: bool) -> Iterator[_Shot]:
    """The picture, or each of an animation's that will have `size`."""
    if not moving:
        yield source, 0
        return
    count = _count(source)
    # The encoders want every frame at once, so their sum is what memory has to hold.
    pixels = count * size[0] * size[1]
    if count > FRAMES_MAX or pixels > PIXELS_MAX:
        raise Unusable(
            f"the animation has {count} frames with {pixels:,} pixels in all at this size, over "
            f"{FRAMES_MAX} or {PIXELS_MAX:,}; ask for a smaller width, or animate = false"
        )
    # The first picture of an animated PNG may be for those only who do not know animations.
    for number in range(1 if getattr(source, "default_image", False) else 0, count):
        source.seek(number)
        frame = source.copy()  # decodes it; only then some formats know its time
        yield frame, int(source.info.get("duration") or _FRAME_MS_DEFAULT)


def _moving_options(source: Image.Image, made_format: str, shots: list[_Shot]) -> dict[str, Any]:
    """The frames after the first, how long each is shown, and how often all of them."""
    # Without a count a GIF plays once; 0 is for ever in all of them.
    plays = source.info.get("loop", 1 if source.format == "GIF" else 0)
    once = plays == 1 and made_format == "gif"
    return {
        "save_all": True,
        "append_images": [frame for frame, _ in shots[1:]],
        "duration": [ms for _, ms in shots],
    } | ({} if once else {"loop": plays})


def _options(source: Image.Image, made_format: str, wish: Wish) -> dict[str, Any]:
    options = dict(_SAVE[made_format])
    if made_format in _WITH_QUALITY:
        options["quality"] = wish.quality
    if not wish.strip and made_format != "gif":
        exif = source.getexif()
        exif.pop(_ORIENTATION_TAG, None)  # the pixels stand upright now
        options["exif"] = exif.tobytes()
    return options


def _profile(source: Image.Image, space: bytes) -> bytes | None:
    """The source's colour profile, when it is one of the colour space (ICC.1:2022, 7.2.6)."""
    profile = source.info.get("icc_profile")
    return profile if profile and profile[16:20] == space else None


Image.MAX_IMAGE_PIXELS = PIXELS_MAX
