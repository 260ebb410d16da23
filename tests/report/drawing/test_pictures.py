import base64
import io
import re

import numpy as np
from PIL import Image

from fairjax.report.drawing.heat_map import Cell, heat_map
from fairjax.report.drawing.pictures import picture_section, sensitivity_section

LOOKS = {
    "attribute": "race",
    "source": "cls",
    "layers": "all",
    "overall": [0.1, 0.2, 0.3, 0.4],
    "by_value": {"A": [0.25] * 4, "<b>": [0.4, 0.3, 0.2, 0.1]},
    "n": {"A": 3.0, "<b>": 5.0},
}


def texts(figure):
    """What stands in the cells of a map, in order."""
    (description,) = re.findall(r"<desc[^>]*>(.*?)\.</desc>", figure.svg)
    return [cell.split(": ")[1] for cell in description.split("; ")]


def test_everyones_map_is_relative_to_its_mean_patch_and_the_others_less_everyone():
    section = sensitivity_section(LOOKS)
    ((_, figures),) = section.parts
    assert "the faces of each race get" in section.lead
    assert [figure.caption for figure in figures] == [
        "Everyone (8 images)",
        "A less everyone (3 images)",
        "<b> less everyone (5 images)",
    ]
    assert texts(figures[0]) == ["0.4", "0.8", "1.2", "1.6"]
    assert texts(figures[1]) == ["+0.60", "+0.20", "-0.20", "-0.60"]
    assert "<b>" not in figures[2].svg


def test_what_lies_within_the_noise_is_hatched_and_the_rest_counted():
    # 8 tests of 5%: a patch is beyond at 2.73 standard errors of its share, of mean 1/4
    errors = {"A": [0.03] * 4, "<b>": [1.0] * 4}
    ((_, figures),) = sensitivity_section(LOOKS | {"noise": errors}).parts
    assert figures[1].note == "2 of 4 patches beyond noise of ±0.33 (median)"
    assert figures[2].note == "0 of 4 patches beyond noise of ±10.94 (median)"
    assert "<pattern" in figures[2].svg and "<pattern" not in figures[0].svg
    without = sensitivity_section(LOOKS).parts[0][1]
    assert without[1].note == "no noise was computed"


def test_a_map_lies_over_the_outline_of_a_face():
    face, plain = (
        heat_map(
            "k",
            "t",
            [[Cell("1", [], 0.5)]],
            rows=["1"],
            columns=["1"],
            row_axis="row",
            column_axis="column",
            cell_width=100,
            over_face=over,
        )
        for over in (True, False)
    )
    assert face.count("<path") - plain.count("<path") == 5  # head, two eyes, nose, mouth


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
