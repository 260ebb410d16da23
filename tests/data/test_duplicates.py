import io
import json
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from fairjax.data import duplicates
from fairjax.data.duplicates import correlation, perceptual_hash, same_picture, scan, thumbnail
from fairjax.data.formats.files import open_files


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((90, 90), Image.Resampling.LANCZOS)


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((6, 4, 196, 194)).resize((200, 200))


def turned(image: Image.Image) -> Image.Image:
    return image.rotate(3, Image.Resampling.BICUBIC)


def marked(image: Image.Image) -> Image.Image:
    over = image.copy()
    ImageDraw.Draw(over).text((40, 90), "stock photo", fill="white", font_size=20)
    return Image.blend(image, over, 0.5)  # as agencies print it: see-through


def paler(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(ImageEnhance.Contrast(image).enhance(0.7)).enhance(1.2)


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


CHANGES = (smaller, cropped, turned, marked, paler, grey, mirrored)


def test_every_kind_of_copy_is_found_and_nothing_else(picture, jpeg):
    pictures = [picture(seed) for seed in range(60)]
    pictures += [change(pictures[k]) for k, change in enumerate(CHANGES)]
    encoded = [jpeg(image, quality=70) for image in pictures]
    group = same_picture([str(k) for k in range(67)], np.stack([*map(thumbnail, encoded)]))
    expected = np.arange(67)
    expected[60:] = np.arange(7)
    np.testing.assert_array_equal(group, expected)


def test_equal_bytes_are_one_group_even_where_there_is_nothing_to_see():
    flat = np.full((4, 50, 50), 7, np.uint8)
    assert same_picture(["a", "b", "a", "c"], flat).tolist() == [0, 1, 0, 3]


def test_groups_do_not_depend_on_the_order(picture, jpeg):
    images = [picture(0), smaller(picture(0)), picture(1), cropped(picture(1)), picture(2)]
    thumbs = np.stack([thumbnail(jpeg(image)) for image in images])
    order = np.array([3, 0, 4, 2, 1])
    group = same_picture([str(k) for k in order], thumbs[order])
    assert group.tolist() == [0, 1, 2, 0, 1]


def test_hash_bits_are_the_signs_of_the_cosine_transform(picture, jpeg):
    thumbs = np.stack([thumbnail(jpeg(picture(seed))) for seed in range(3)])
    words = perceptual_hash(thumbs)
    assert words.shape == (3, duplicates.HASH_BITS // 64)
    bits = np.unpackbits(words.view(np.uint8), axis=1)
    x = (np.arange(40) + 0.5) / 40
    centre = thumbs[:, 5:45, 5:45].astype(float)
    # the two lowest frequencies beside the mean: one wave to the right, one down
    np.testing.assert_array_equal(bits[:, 0], (centre * np.cos(np.pi * x)).sum((1, 2)) > 0)
    np.testing.assert_array_equal(bits[:, 1], (centre * np.cos(np.pi * x)[:, None]).sum((1, 2)) > 0)


def test_hash_ignores_brightness_and_contrast(picture):
    image = np.asarray(picture(0).convert("L").resize((50, 50)))
    changed = (image.astype(float) * 0.5 + 40).round().astype(np.uint8)
    one, other = perceptual_hash(np.stack([image, changed]))
    assert np.bitwise_count(one ^ other).sum() <= 4


@pytest.mark.parametrize(
    ("right", "down", "turn", "scale"), [(3, 0, 0, 1), (-2, 2, 0, 1), (0, 0, 8, 1), (0, 0, 0, 1.12)]
)
def test_correlation_undoes_shift_turn_and_scale(picture, right, down, turn, scale):
    image = picture(5).convert("L").resize((400, 400))
    moved = image.rotate(turn, Image.Resampling.BICUBIC, translate=(right * 8, down * 8))
    inset = 200 - 200 / scale
    moved = moved.crop((inset, inset, 400 - inset, 400 - inset))
    pair = [np.asarray(x.resize((50, 50), Image.Resampling.BOX))[None] for x in (image, moved)]
    assert correlation(*pair)[0] > 0.95


def test_correlation_of_a_picture_with_itself_is_one_and_with_another_is_low(picture):
    thumbs = np.stack([np.asarray(picture(k).convert("L").resize((50, 50))) for k in range(9)])
    np.testing.assert_allclose(correlation(thumbs, thumbs), 1, atol=1e-5)
    assert correlation(thumbs[:-1], thumbs[1:]).max() < 0.6


def test_a_thumbnail_is_the_whole_picture_in_grey(picture, jpeg):
    image = picture(0)
    reference = np.asarray(image.convert("L").resize((50, 50), Image.Resampling.BOX), float)
    for encoded in (jpeg(image, 95), png(image)):
        assert np.abs(thumbnail(encoded) - reference).mean() < 3
    wide = thumbnail(jpeg(image.resize((131, 77))))
    assert wide.shape == (50, 50)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_what_is_no_picture_is_refused_with_its_reason(picture, jpeg):
    whole = jpeg(picture(0))
    gif = io.BytesIO()
    picture(0).save(gif, "GIF")
    cmyk = io.BytesIO()
    picture(0).convert("CMYK").save(cmyk, "JPEG")
    for content, words in (
        (b"", "empty file"),
        (b"dear diary", "not a JPEG or PNG"),
        (gif.getvalue(), "not a JPEG or PNG"),
        (whole[: len(whole) // 2], "truncated"),
        (whole[:-2], "truncated"),
        (png(picture(0))[:-20000], "damaged"),
        (cmyk.getvalue(), "CMYK"),
    ):
        with pytest.raises(ValueError, match=words):
            thumbnail(content)


def test_scan_names_unreadable_files_and_groups_the_rest(tmp_path, write_folder, picture, jpeg):
    one, other = jpeg(picture(0)), jpeg(picture(1))
    files = {"a.jpg": one, "b.jpg": other, "c.jpg": one, "d.jpg": b"text", "e.jpg": one[:900]}
    found = scan(open_files(write_folder(tmp_path / "x", files)))
    assert found.group == {"a.jpg": "a.jpg", "b.jpg": "b.jpg", "c.jpg": "a.jpg"}
    assert found.digests["a.jpg"] == found.digests["c.jpg"] != found.digests["b.jpg"]
    assert set(found.unreadable) == {"d.jpg", "e.jpg"}


def test_a_second_scan_reads_no_file_until_one_changes(
    tmp_path, write_folder, picture, jpeg, monkeypatch
):
    folder = write_folder(tmp_path / "x", {f"{k}.jpg": jpeg(picture(k)) for k in range(3)})
    looked = []
    look = duplicates._look
    monkeypatch.setattr(duplicates, "_look", lambda f, n: looked.append(n) or look(f, n))
    first = scan(open_files(folder))
    assert len(looked) == 3
    assert scan(open_files(folder)) == first
    assert len(looked) == 3
    (folder / "1.jpg").write_bytes(b"no longer a picture")
    assert "1.jpg" in scan(open_files(folder)).unreadable
    assert len(looked) == 6


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"digests": 3}', '{"a": {}}'])
def test_a_damaged_cache_is_passed_over(tmp_path, write_folder, picture, jpeg, content):
    folder = write_folder(tmp_path / "x", {f"{k}.jpg": jpeg(picture(k)) for k in range(3)})
    first = scan(open_files(folder))
    (kept,) = (tmp_path / "cache" / "fairjax").iterdir()
    tree = json.loads(kept.read_text())
    tree["digests"].pop("0.jpg")
    for damage in (content, json.dumps(tree)):
        kept.write_text(damage)
        assert scan(open_files(folder)) == first


def test_a_cache_folder_that_cannot_be_made_does_no_harm(
    tmp_path, write_folder, picture, jpeg, monkeypatch
):
    folder = write_folder(tmp_path / "x", {"a.jpg": jpeg(picture(0))})
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "a.jpg"))
    assert list(scan(open_files(folder)).digests) == ["a.jpg"]


def test_a_fault_of_the_disk_is_named_and_not_remembered(
    tmp_path, write_folder, picture, jpeg, monkeypatch
):
    folder = write_folder(tmp_path / "x", {"a.jpg": jpeg(picture(0)), "b.jpg": jpeg(picture(1))})
    whole = Path.open

    def fail(path: Path, *arguments: str, **settings: str) -> IO:
        if path.name == "b.jpg":
            raise OSError(5, "Input/output error")
        return whole(path, *arguments, **settings)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", fail)
        assert "Input/output" in scan(open_files(folder)).unreadable["b.jpg"]
    assert scan(open_files(folder)).unreadable == {}


def test_an_image_that_training_cannot_decode_is_unreadable_though_pillow_reads_it(
    tmp_path, write_folder, picture
):
    whole = io.BytesIO()
    picture(1).save(whole, "PNG")
    content = bytearray(whole.getvalue())
    place = content.index(b"IEND") + 4
    content[place] ^= 0xFF  # a CRC that Pillow does not look at
    thumbnail(bytes(content))
    write_folder(tmp_path / "x", {"a.png": whole.getvalue(), "b.png": bytes(content)})
    found = scan(open_files(tmp_path / "x"))
    assert [*found.digests] == ["a.png"]
    assert found.unreadable["b.png"].startswith("damaged: ")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((1, 4000), "too few pixels"),
        ((9, 4000), "too long and narrow"),
        ((7100, 7100), "too many pixels"),
    ],
)
def test_a_picture_out_of_all_proportion_is_refused(size, words):
    with pytest.raises(ValueError, match=words):
        thumbnail(png(Image.new("1", size)))
