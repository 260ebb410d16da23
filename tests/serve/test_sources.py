import numpy as np

from fairjax.data.phantom.benchmark import PhantomPairs
from fairjax.serve.sources import open_images


def test_made_up_faces_are_drawn_in_blocks_and_are_those_of_the_benchmark():
    images = open_images("phantom:", size=32)
    faces = PhantomPairs(image_size=32).load(seed=0).faces
    assert len(images) == len(faces) and len(images) % 64, "the last block is not whole"
    rows = np.array([1, 63, 64, len(faces) - 1])
    np.testing.assert_array_equal([images.read(row) for row in rows], faces.read(rows))
