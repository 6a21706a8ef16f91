"""The ready function image-convert, called as the platform calls it."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.prebuilt import Handler, loaded, run_its_own_tests


@pytest.fixture(scope="module")
def handler() -> Iterator[Handler]:
    with loaded("image-convert") as found:
        yield found


def encoded(
    size: tuple[int, int] = (400, 200), name: str = "PNG", mode: str = "RGB", **options: object
) -> bytes:
    """An image whose left half is red and whose right half is blue."""
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (size[0] // 2, 0, *size))
    buffer = io.BytesIO()
    picture.convert(mode).save(buffer, name, **options)
    return buffer.getvalue()


def event(data: bytes, **wishes: object) -> dict[str, object]:
    return {"image": base64.b64encode(data).decode(), **wishes}


def request(data: bytes, query: str = "", **headers: str) -> dict[str, object]:
    pairs = dict(part.split("=") for part in query.split("&") if part)
    return {
        "version": "2.0",
        "rawPath": "/",
        "requestContext": {"http": {"method": "POST"}},
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "queryStringParameters": pairs,
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
    }


def decoded(answer: dict[str, Any], key: str = "image") -> Image.Image:
    assert key in answer, answer
    image = Image.open(io.BytesIO(base64.b64decode(answer[key])))
    image.load()
    return image


def is_red_left_of_blue(image: Image.Image) -> bool:
    pixels = image.convert("RGB")
    left = pixels.getpixel((image.width // 8, image.height // 2))
    right = pixels.getpixel((image.width * 7 // 8, image.height // 2))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    return left[0] > 200 > 60 > left[2] and right[2] > 200 > 60 > right[0]


@pytest.mark.parametrize("made", ["webp", "jpeg", "png", "avif", "gif", "tiff"])
@pytest.mark.parametrize("given_as", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"])
def test_every_format_becomes_every_other(handler: Handler, given_as: str, made: str) -> None:
    image = decoded(handler(event(encoded(name=given_as), format=made, width=100), None))
    assert (image.format, image.size) == (made.upper(), (100, 50))
    assert is_red_left_of_blue(image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_png_can_be_made_a_jpeg(handler: Handler, mode: str) -> None:
    assert decoded(handler(event(encoded(mode=mode), format="jpg"), None)).size == (400, 200)


def test_a_cmyk_jpeg_can_be_made_a_png(handler: Handler) -> None:
    image = decoded(handler(event(encoded(name="JPEG", mode="CMYK"), format="png"), None))
    assert is_red_left_of_blue(image)


@pytest.mark.parametrize(
    ("wishes", "size"),
    [
        ({}, (400, 200)),
        ({"width": 100}, (100, 50)),
        ({"height": 50}, (100, 50)),
        ({"width": 100, "height": 10}, (20, 10)),
        ({"width": 4000}, (400, 200)),
        ({"width": 100, "height": 100, "fit": "cover"}, (100, 100)),
        ({"width": 100, "height": 100, "fit": "fill"}, (100, 100)),
        ({"width": 1}, (1, 1)),
    ],
)
@pytest.mark.parametrize("given_as", ["PNG", "JPEG"])
def test_the_size_follows_the_wishes(
    handler: Handler, wishes: dict[str, object], size: tuple[int, int], given_as: str
) -> None:
    answer = handler(event(encoded(name=given_as), **wishes), None)
    assert decoded(answer).size == size == (answer["width"], answer["height"])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("strip", [True, False])
def test_a_photograph_is_turned_upright_once(
    handler: Handler,
    orientation: int,
    strip: bool,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera"
    sideways = orientation >= 5
    answer = handler(event(encoded(name="JPEG", exif=exif), width=80, strip=strip), None)
    image = decoded(answer)
    assert image.size == ((80, 160) if sideways else (80, 40))
    assert image.getexif().get(0x0112, 1) == 1
    assert image.getexif().get(0x010F) == (None if strip else "Camera")


def test_strip_leaves_no_camera_or_place_in_any_format(handler: Handler) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    for made in ("webp", "jpeg", "png", "avif", "tiff", "gif"):
        for source in ("JPEG", "PNG", "WEBP", "TIFF"):
            answer = handler(event(encoded(name=source, exif=exif), format=made), None)
            assert b"SecretCamera" not in base64.b64decode(answer["image"]), (source, made)


def test_transparency_becomes_white_where_the_format_has_none(handler: Handler) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (10, 10), (255, 0, 0, 0)).save(buffer, "PNG")
    jpeg = decoded(handler(event(buffer.getvalue(), format="jpeg"), None))
    assert jpeg.getpixel((5, 5)) == (255, 255, 255)
    webp = decoded(handler(event(buffer.getvalue(), format="webp"), None))
    assert webp.mode == "RGBA"


def animation(name: str = "GIF", *, count: int = 3, **options: object) -> bytes:
    """Frames of 100, 200, ... ms: red, green, blue and so on."""
    colours = [("red", "green", "blue")[number % 3] for number in range(count)]
    frames = [Image.new("RGB", (40, 20), colour) for colour in colours]
    buffer = io.BytesIO()
    times = [100 * (1 + number % 5) for number in range(count)]
    frames[0].save(buffer, name, save_all=True, append_images=frames[1:], duration=times, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("made", ["webp", "gif", "png", "avif"])
@pytest.mark.parametrize("given_as", ["WEBP", "GIF", "PNG", "AVIF"])
def test_an_animation_stays_one_where_the_format_can(
    handler: Handler, given_as: str, made: str
) -> None:
    data = animation(given_as) if given_as == "AVIF" else animation(given_as, loop=0)
    answer = handler(event(data, format=made, width=20), None)
    image = decoded(answer)
    assert (getattr(image, "n_frames", 1), answer["frames"], image.size) == (3, 3, (20, 10))
    seen = []
    for number in range(3):
        image.seek(number)
        seen.append(image.convert("RGB").getpixel((10, 5)))
        assert abs(image.info["duration"] - 100 * (number + 1)) < 2
    brightest = [pixel.index(max(pixel)) for pixel in seen if isinstance(pixel, tuple)]
    assert brightest == [0, 1, 2]
    if made != "avif":
        assert image.info["loop"] == 0


@pytest.mark.parametrize(("made", "wishes"), [("jpeg", {}), ("tiff", {}), ("gif", {"animate": 0})])
def test_of_an_animation_the_first_frame_is_taken_where_it_cannot_move(
    handler: Handler, made: str, wishes: dict[str, object]
) -> None:
    image = decoded(handler(event(animation(), format=made, **wishes), None))
    assert getattr(image, "n_frames", 1) == 1
    red, _, blue = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert red > 250 > 5 > blue


def test_an_animation_that_plays_once_does_not_become_endless(handler: Handler) -> None:
    again = decoded(handler(event(animation(), format="gif"), None))
    assert "loop" not in again.info
    assert decoded(handler(event(animation(), format="webp"), None)).info["loop"] == 1


def test_an_animation_of_too_many_frames_is_refused(handler: Handler) -> None:
    answer = handler(event(animation(count=1001)), None)
    assert answer["statusCode"] == 400
    assert "the animation has 1001 frames" in answer["error"]


def test_a_part_can_be_cut_out_of_the_upright_picture(handler: Handler) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: upright it is 200 wide, red above blue
    data = encoded(name="JPEG", exif=exif, quality=95)
    for crop in ("0,0,200,200", [0, 0, 200, 200], {"x": 0, "y": 0, "width": 200, "height": 200}):
        image = decoded(handler(event(data, format="png", crop=crop, width=50), None))
        assert image.size == (50, 50)
        red, _, blue = image.getpixel((25, 40))  # type: ignore[misc]
        assert red > 200 > 60 > blue
    answer = handler(event(data, crop="0,0,201,200"), None)
    assert "reaches out of the picture, which has 200x400" in answer["error"]


def test_a_profile_of_another_colour_space_is_left_out(handler: Handler) -> None:
    cmyk = b"\0" * 16 + b"CMYK" + b"\0" * 108
    data = encoded(name="JPEG", mode="CMYK", icc_profile=cmyk)
    assert "icc_profile" not in decoded(handler(event(data, format="png"), None)).info
    rgb = b"\0" * 16 + b"RGB " + b"\0" * 108
    kept = decoded(handler(event(encoded(name="JPEG", icc_profile=rgb), format="webp"), None))
    assert kept.info["icc_profile"] == rgb


def test_every_size_comes_in_every_format(handler: Handler) -> None:
    answer = handler(event(encoded(), formats=["webp", "png"], sizes=[50, "x100"]), None)
    made = [(one["format"], one["width"], one["height"]) for one in answer["images"]]
    assert made == [("webp", 50, 25), ("webp", 200, 100), ("png", 50, 25), ("png", 200, 100)]


def test_quality_decides_the_size_in_bytes(handler: Handler) -> None:
    noise = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(noise, "PNG")
    for made in ("jpeg", "webp", "avif"):
        low, high = (
            handler(event(noise.getvalue(), format=made, quality=quality), None)["bytes"]
            for quality in (10, 95)
        )
        assert low < high


def test_several_sizes_come_in_one_answer(handler: Handler) -> None:
    answer = handler(event(encoded(), format="webp", sizes=[50, {"height": 100}]), None)
    assert [(one["width"], one["height"]) for one in answer["images"]] == [(50, 25), (200, 100)]


def test_through_the_url_the_answer_is_the_image(handler: Handler) -> None:
    answer = handler(request(encoded(name="JPEG"), "format=webp&width=100"), None)
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] == "image/webp"
    assert answer["isBase64Encoded"] is True
    assert decoded(answer, "body").size == (100, 50)


def test_the_accept_header_chooses_where_the_query_does_not(handler: Handler) -> None:
    by_header = handler(request(encoded(), accept="text/html, image/avif;q=0.9, */*"), None)
    assert by_header["headers"]["content-type"] == "image/avif"
    by_source = handler(request(encoded(name="JPEG"), accept="*/*"), None)
    assert by_source["headers"]["content-type"] == "image/jpeg"


def test_several_sizes_through_the_url_come_as_json(handler: Handler) -> None:
    answer = handler(request(encoded(), "sizes=50,100&format=png"), None)
    assert [one["width"] for one in json.loads(answer["body"])["images"]] == [50, 100]


def test_a_json_body_through_the_url_is_an_event(handler: Handler) -> None:
    body = json.dumps(event(encoded(), width=50)).encode()
    answer = handler(request(body, "format=webp", content_type="application/json"), None)
    assert decoded(answer, "body").size == (50, 25)


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"format": "bmp"}, "format must be one of webp, jpeg"),
        ({"width": 0}, "width must be a whole number from 1"),
        ({"width": "wide"}, "width must be"),
        ({"width": True}, "width must be"),
        ({"height": 16_385}, "from 1 to 16384"),
        ({"quality": 101}, "quality must be"),
        ({"fit": "squeeze"}, "fit must be one of"),
        ({"strip": "maybe"}, "strip must be true or false"),
        ({"sizes": []}, "sizes must be a list"),
        ({"sizes": list(range(1, 14))}, "sizes must be a list of 1 to 12"),
        ({"sizes": ["x"]}, "sizes must hold widths"),
        ({"formats": ["png", "webp"], "sizes": [1, 2, 3, 4, 5, 6, 7]}, "14 pictures are too many"),
        ({"crop": "1,2,3"}, "crop must be x, y, width and height"),
        ({"crop": "-1,2,3,4"}, "crop must be a whole number from 0"),
        ({"animate": "perhaps"}, "animate must be true or false"),
        ({"widht": 3}, "there is no widht"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_by_name(
    handler: Handler, wishes: dict[str, object], told: str
) -> None:
    answer = handler(event(encoded(), **wishes), None)
    assert answer["statusCode"] == 400
    assert told in answer["error"]


@pytest.mark.parametrize("wrong", [None, 3, "text", [], {}, {"image": 3}, {"image": "%%%"}])
def test_an_event_without_an_image_is_refused(handler: Handler, wrong: object) -> None:
    assert handler(wrong, None)["statusCode"] == 400


def test_a_request_without_a_body_is_told_how_to_send_one(handler: Handler) -> None:
    answer = handler(request(b""), None)
    assert answer["statusCode"] == 400
    assert "curl --data-binary" in json.loads(answer["body"])["error"]


def test_a_cut_image_is_refused(handler: Handler) -> None:
    for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"):
        data = encoded((300, 300), name)
        answer = handler(event(data[: len(data) * 2 // 3], format="png"), None)
        assert answer["statusCode"] == 400, name


def test_a_bomb_is_refused_from_its_header(handler: Handler) -> None:
    header = encoded((8, 8), "PNG")
    size = (30_000).to_bytes(4, "big")
    bomb = bytearray(header)
    bomb[16:20] = bomb[20:24] = size
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    answer = handler(event(bytes(bomb)), None)
    assert answer["statusCode"] == 400
    assert "more than 50,000,000 pixels" in answer["error"]


def test_a_result_that_no_answer_can_carry_is_refused(handler: Handler) -> None:
    noise = io.BytesIO()
    Image.merge("RGB", [Image.effect_noise((1500, 1500), 120) for _ in range(3)]).save(noise, "PNG")
    answer = handler(event(noise.getvalue(), format="png"), None)
    assert answer["statusCode"] == 400
    assert "smaller width" in answer["error"]


@given(data=st.binary(max_size=200), cut=st.integers(0, 400), flip=st.integers(0, 300))
def test_no_bytes_make_it_fail(handler: Handler, data: bytes, cut: int, flip: int) -> None:
    image = bytearray(encoded((16, 16), "GIF") + data)
    image[flip % len(image)] ^= 0x55
    for one in (data, bytes(image[:cut])):
        answer = handler(event(one, format="png"), None)
        assert "image" in answer or answer["statusCode"] == 400


def test_its_own_tests_pass_in_a_users_folder(tmp_path: Path) -> None:
    run_its_own_tests("image-convert", tmp_path)
