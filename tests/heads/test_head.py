import pytest

from fairjax.heads import ROWS_MULTIPLE, Head


def test_a_split_head_has_rows_for_any_number_of_shards():
    settings = {"chunk": 8, "rate": 0.5}
    assert Head(name="dense", **settings).rows(1000) == 1000
    for name in ("sharded", "streamed", "sampled"):
        assert Head(name=name, **settings).rows(1000) == 1024
        assert Head(name=name, **settings).rows(ROWS_MULTIPLE) == ROWS_MULTIPLE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "split"}, "^name='split' is not known; known: dense, sharded, streamed"),
        ({"chunk": 0}, "^chunk=0 must be 1 or more"),
        ({"rate": 0.0}, "^rate=0.0 must be above 0 and at most 1"),
        ({"rate": 1.5}, "^rate=1.5 must be above 0"),
    ],
)
def test_what_is_impossible_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Head(**{"name": "streamed", "chunk": 8, "rate": 0.5, **settings})
