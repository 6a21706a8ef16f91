"""Tests of the function as its user would begin them: `python -m pytest` in this folder."""

from __future__ import annotations

import base64
import io

from app import handler
from PIL import Image


def encoded(width: int, height: int) -> str:
    """An image of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 80, 20)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_an_event_is_answered_with_the_image_in_the_format_asked_for() -> None:
    """The answer holds the image and its measures."""
    answer = handler({"image": encoded(400, 200), "format": "webp", "width": 100}, None)
    image = Image.open(io.BytesIO(base64.b64decode(answer["image"])))
    assert (image.format, image.size) == ("WEBP", (100, 50))


def test_what_is_no_image_is_refused_with_a_sentence() -> None:
    """A refusal is statusCode 400."""
    answer = handler({"image": base64.b64encode(b"hello").decode()}, None)
    assert answer["statusCode"] == 400
    assert "no image" in answer["error"]
