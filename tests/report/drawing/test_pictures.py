import base64
import io

import numpy as np
from PIL import Image

from fairjax.report.drawing.pictures import picture_section, sensitivity_section

LOOKS = {
    "attribute": "race",
    "source": "cls",
    "layers": "all",
    "overall": [0.1, 0.2, 0.3, 0.4],
    "by_value": {"A": [0.25] * 4, "<b>": [0.4, 0.3, 0.2, 0.1]},
    "n": {"A": 3.0, "<b>": 5.0},
}


def test_every_map_is_shown_relative_to_its_mean_patch():
    section = sensitivity_section(LOOKS)
    ((_, figures),) = section.parts
    assert section.lead.startswith(
        "Attention of the model by patch of the face, for everyone and by race"
    )
    assert [figure.caption for figure in figures] == [
        "Everyone (8 images)",
        "A (3 images)",
        "<b> (5 images)",
    ]
    assert "1, 1: 0.4" in figures[0].svg
    assert "2, 2: 1.6" in figures[0].svg
    assert figures[1].svg.count("1.0") >= 4
    assert "<b>" not in figures[2].svg


def test_without_a_map_or_pictures_there_is_no_section():
    assert not sensitivity_section({})
    assert not picture_section({})


def test_a_picture_is_in_the_page_pixel_by_pixel():
    faces = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    ((_, (figure,)),) = picture_section({"kept": faces}).parts
    content = figure.svg.split("base64,")[1].split('"')[0]
    shown = np.array(Image.open(io.BytesIO(base64.b64decode(content))))
    np.testing.assert_array_equal(shown, np.concatenate(list(faces), axis=1))
    assert 'alt="Generated faces: kept"' in figure.svg
