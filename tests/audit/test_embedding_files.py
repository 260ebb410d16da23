import json

import numpy as np
import pyarrow as pa
import pytest
from embeddings_example import IDS, RACES, example_vectors
from pyarrow import parquet

from fairjax.audit.embedding_files import load_images, read_made
from fairjax.audit.tables import InMemory, InputError


@pytest.fixture
def vectors():
    return example_vectors()


def test_images_are_named_in_any_customary_way(tmp_path, vectors):
    for name in ("id", "ids", "image", "images", "filename", "path"):
        np.savez(tmp_path / "v.npz", embedding=vectors, **{name: np.array(IDS)})
        found = load_images(tmp_path / "v.npz")
        assert list(found.ids) == IDS and found.people is None, name
    np.savez(tmp_path / "v.npz", features=vectors, names=np.array(IDS), race=np.array(RACES))
    found = load_images(tmp_path / "v.npz")
    assert list(found.ids) == IDS
    assert found.people.groups == {"race": dict(zip(IDS, RACES, strict=True))}
    assert found.people.subject == {}


def test_words_that_numpy_keeps_as_bytes_are_words(tmp_path, vectors):
    kept = [name.encode() for name in IDS]
    np.savez(tmp_path / "v.npz", embedding=vectors, id=np.array(kept), race=np.array(RACES, "S"))
    found = load_images(tmp_path / "v.npz")
    assert list(found.ids) == IDS
    assert found.people.groups == {"race": dict(zip(IDS, RACES, strict=True))}


def test_an_embedding_of_any_name_is_one_where_it_is_alone(tmp_path, vectors):
    np.savez(tmp_path / "v.npz", z=vectors, id=np.array(IDS))
    assert load_images(tmp_path / "v.npz").embedding.shape == (8, 6)
    np.savez(tmp_path / "v.npz", z=vectors, y=vectors, id=np.array(IDS))
    with pytest.raises(InputError, match=r"'z \(8, 6\)', 'y \(8, 6\)', 'id \(8,\)'"):
        load_images(tmp_path / "v.npz")
    np.savez(tmp_path / "v.npz", z=vectors, embedding=2 * vectors, id=np.array(IDS))
    with pytest.raises(InputError, match="'z' has shape"):
        load_images(tmp_path / "v.npz")


def test_half_precision_is_widened_before_squares_overflow(tmp_path, vectors):
    np.savez(tmp_path / "v.npz", embedding=(300 * vectors).astype(np.float16), id=np.array(IDS))
    assert load_images(tmp_path / "v.npz").embedding.dtype == np.float32


def table_of(folder, columns, vectors, name="v.csv"):
    head = ["image", *columns]
    rows = [",".join([i, *map(str, v[: len(columns)])]) for i, v in zip(IDS, vectors, strict=True)]
    (folder / name).write_text(",".join(head) + "\n" + "\n".join(rows) + "\n")
    return folder / name


@pytest.mark.parametrize(
    "columns",
    [
        ["e0", "e1", "e2"],
        ["E1", "E2", "E3"],
        ["emb_0", "emb_1", "emb_2"],
        ["dim 0", "dim 1", "dim 2"],
        ["0", "1", "2"],
        ["feature.1", "feature.2", "feature.3"],
        ["e2", "e0", "e1"],  # in any order
    ],
)
def test_dimensions_are_a_numbered_series(tmp_path, vectors, columns):
    found = load_images(table_of(tmp_path, columns, vectors))
    order = np.argsort(columns)
    np.testing.assert_allclose(found.embedding, vectors[:, order], rtol=1e-6)


@pytest.mark.parametrize(
    ("columns", "prefix", "said"),
    [
        (["e0", "e1", "e3"], "", "are not the dimensions of an embedding: e2 is missing"),
        (["e2", "e3", "e4"], "", "e1 is missing"),
        (["e0", "e1", "f0", "f1"], "", "has several series of numbered columns: 'e0', 'e1'; 'f0'"),
        (["e0", "e1"], "g", "has no columns g0, g1 ... (--embedding g)"),
        (["e0", "e00", "e1"], "", "has two columns e0; rename one"),
        (["age1", "age2"], "", "must hold one array of embeddings"),  # too few of another name
    ],
)
def test_columns_that_are_no_such_series_are_refused(tmp_path, vectors, columns, prefix, said):
    with pytest.raises(InputError) as caught:
        load_images(table_of(tmp_path, columns, vectors), prefix=prefix)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_prefix_chooses_among_several_series(tmp_path, vectors):
    path = table_of(tmp_path, ["e0", "e1", "f0", "f1"], vectors)
    np.testing.assert_allclose(load_images(path, prefix="F").embedding, vectors[:, 2:4], rtol=1e-6)
    long = [f"unit{k}" for k in range(6)] + ["sub1", "sub2"]
    wide = np.concatenate([vectors, vectors[:, :2]], axis=1)
    path = table_of(tmp_path, long, wide)
    with pytest.raises(InputError, match="must hold one array"):
        load_images(path)  # six columns of a name that nobody gives to embeddings
    assert load_images(path, prefix="unit").embedding.shape == (8, 6)


def test_an_embedding_that_is_missing_is_named_by_its_row(tmp_path, vectors):
    lists = vectors.tolist()
    lists[2] = None
    parquet.write_table(pa.table({"id": IDS, "embedding": lists}), tmp_path / "v.parquet")
    with pytest.raises(InputError, match="data row 3: embedding is missing"):
        load_images(tmp_path / "v.parquet")
    with pytest.raises(InputError, match="does not exist"):
        load_images(tmp_path / "none.npz")


def saved(folder, **arrays):
    np.savez(
        folder / "v.npz", **{"embedding": np.eye(3, 4) + 1, "id": np.array(list("abc")), **arrays}
    )
    return folder / "v.npz"


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"embedding": np.arange(12).reshape(3, 4)},
            "the embeddings are int64, not floating point",
        ),
        (
            {"embedding": np.zeros((3, 4))},
            "embedding 1 is all zeros, or has NaN or infinity (3 such e",
        ),
        (
            {"embedding": np.diag([1.0, 0.0, 2.0])},
            "embedding 2 is all zeros, or has NaN or infinity (1",
        ),
        ({"embedding": np.array([[1.0], [2.0], [np.inf]])}, "embedding 3 is all zeros"),
        ({"embedding": np.array([[1.0], [np.nan], [1.0]])}, "embedding 2 is all zeros"),
        (
            {"race": np.array(["x", "y"])},
            "'race' has shape (2,); expected (3,), one value an embed",
        ),
        ({"id": np.array(list("abcd"))}, "'id' has shape (4,)"),
        (
            {"image": np.array(list("abc")), "path": np.array(list("abc"))},
            "'image', 'path'; keep one",
        ),
        ({"subject": np.array(list("abc")), "person": np.array(list("abc"))}, "keep one"),
        (
            {"variance": np.ones((3, 4)), "variances": np.ones((3, 4))},
            "'variance', 'variances'; keep",
        ),
        ({"variance": np.ones((3, 5))}, "'variance': variances have shape (3, 5); expected (3, 4)"),
        ({"variance": -np.ones((3, 4))}, "not finite and above 0 (3 such rows)"),
        ({"made": np.array("{")}, "'made' is no JSON; embed the images again"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(tmp_path, arrays, said):
    with pytest.raises(InputError) as caught:
        load_images(saved(tmp_path, **arrays))
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "v.npz"))


@pytest.mark.parametrize(
    ("name", "stored", "variance"),
    [
        ("variances", 2.0, 2.0),
        ("Variance", 2.0, 2.0),
        ("log_variances", np.log(2.0), 2.0),
        ("log_variance", 0.0, 1.0),
    ],
)
def test_variances_may_be_stored_as_logarithms(tmp_path, name, stored, variance):
    found = load_images(saved(tmp_path, **{name: np.full((3, 4), stored)}))
    np.testing.assert_allclose(found.variance, np.full((3, 4), variance))
    assert found.people is None


def test_one_value_an_image_is_a_group_whatever_it_is_called(tmp_path):
    found = load_images(saved(tmp_path, variance=np.array(["low", "high", "low"])))
    assert found.variance is None
    assert found.people.groups == {"variance": {"a": "low", "b": "high", "c": "low"}}


PAIRS = {
    "pairs.first": np.array([0, 1]),
    "pairs.second": np.array([1, 2]),
    "pairs.mated": np.array([True, False]),
    "pairs.fold": np.array([0, 1]),
}


def test_pairs_of_a_benchmark_and_how_they_were_made_are_read(tmp_path):
    made = {"protocol": "rfw", "n": 3}
    path = saved(tmp_path, **PAIRS, made=np.array(json.dumps(made)))
    found = load_images(path)
    assert found.pairs.first.tolist() == [0, 1] and found.pairs.second.tolist() == [1, 2]
    assert found.pairs.mated.tolist() == [True, False] and found.pairs.fold.tolist() == [0, 1]
    assert found.made == made == read_made(path)
    assert list(found.ids) == list("abc") and found.people is None
    plain = saved(tmp_path)
    assert read_made(plain) == {} == load_images(plain).made and load_images(plain).pairs is None
    assert read_made(saved(tmp_path, made=np.array("[1]"))) == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pairs.second": np.array([1, 3])}, "its pairs name images that are not there"),
        ({"pairs.first": np.array([0, -1])}, "its pairs name images that are not there"),
        ({"pairs.second": np.array([1])}, "its pairs are damaged; embed the images again"),
        ({"pairs.fold": None}, "its pairs are damaged"),
        ({"pairs.more": np.array([1, 2])}, "its pairs are damaged"),
        ({name: array[:0] for name, array in PAIRS.items()}, "its pairs are damaged"),
    ],
)
def test_damaged_pairs_are_one_line(tmp_path, changes, said):
    arrays = {name: array for name, array in {**PAIRS, **changes}.items() if array is not None}
    with pytest.raises(InputError, match=said):
        load_images(saved(tmp_path, **arrays))


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "v.npz"
    path.write_bytes(b"PK not at all")
    for read in (load_images, read_made):
        with pytest.raises(InputError, match="v.npz") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_an_npy_holds_embeddings_alone(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3, 4, dtype=np.float64))
    found = load_images(tmp_path / "v.npy")
    assert (found.ids, found.people, found.embedding.shape) == ([], None, (3, 4))
    assert found.embedding.dtype == np.float64


def test_names_come_through_the_door_for_names_and_paths(tmp_path):
    names = np.array(["a\\b.jpg", " c.jpg", "d.jpg"])
    found = load_images(saved(tmp_path, id=names, subject=np.array(["Zoe\u0308", " ann ", "x"])))
    assert list(found.ids) == ["a/b.jpg", "c.jpg", "d.jpg"]
    assert found.people.subject == {"a/b.jpg": "Zo\u00eb", "c.jpg": "ann", "d.jpg": "x"}
    assert (found.people.key, found.people.groups) == ("image", {})
    assert found.people.source == found.source == str(tmp_path / "v.npz")


def test_without_names_of_images_nothing_is_known_of_people(tmp_path):
    path = tmp_path / "v.npz"
    np.savez(path, embedding=np.eye(3) + 1, race=np.array(list("xyx")))
    found = load_images(path)
    assert list(found.ids) == [] and found.people is None


def test_an_id_is_an_image_and_a_subject_is_a_person(tmp_path):
    found = load_images(
        saved(tmp_path, subject_id=np.array(list("ABA")), gender=np.array(list("fmf")))
    )
    assert found.people.subject == {"a": "A", "b": "B", "c": "A"}
    assert found.people.groups == {"gender": {"a": "f", "b": "m", "c": "f"}}
    both = load_images(saved(tmp_path, image=np.array(list("xyz"))))
    assert list(both.ids) == list("xyz")  # an image before an id, which is then a group
    assert both.people.groups == {"id": {"x": "a", "y": "b", "z": "c"}}


def test_lists_in_parquet_are_embeddings_of_one_width(tmp_path):
    path = tmp_path / "v.parquet"
    lists = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    parquet.write_table(
        pa.table({"image": ["a", "b", "c"], "Features": lists, "g": ["x"] * 3}), path
    )
    found = load_images(path)
    assert found.embedding.tolist() == lists and list(found.ids) == ["a", "b", "c"]
    lists[1:] = [[3.0], [5.0]]
    parquet.write_table(pa.table({"image": ["a", "b", "c"], "embedding": lists}), path)
    with pytest.raises(
        InputError, match=r"data row 2: the embedding has 1 numbers, the first one 2 \(2"
    ):
        load_images(path)
    fixed = pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2))
    parquet.write_table(pa.table({"image": ["a", "b", "c"], "embedding": fixed}), path)
    assert load_images(path).embedding.shape == (3, 2)


def test_vectors_in_memory_are_read_as_those_of_a_file():
    table = pa.table({"id": ["a", "b"], "race": ["x", "y"]})
    found = load_images(InMemory(table, {"embedding": np.eye(2)}, "ours"))
    assert (found.source, list(found.ids)) == ("ours", ["a", "b"])
    assert found.people.groups == {"race": {"a": "x", "b": "y"}}


@pytest.mark.parametrize("count", [7, 8])
def test_a_long_series_of_another_name_is_an_embedding_from_eight_on(tmp_path, count):
    vectors = np.arange(8.0 * count).reshape(8, count) + 1
    path = table_of(tmp_path, [f"unit{k}" for k in range(count)], vectors)
    if count == 8:
        assert load_images(path).embedding.shape == (8, 8)
        return
    with pytest.raises(InputError, match="must hold one array of embeddings"):
        load_images(path)


def test_a_customary_series_comes_before_a_longer_one(tmp_path):
    vectors = np.arange(8.0 * 12).reshape(8, 12) + 1
    path = table_of(tmp_path, ["e0", "e1", *(f"unit{k}" for k in range(10))], vectors)
    np.testing.assert_allclose(load_images(path).embedding, vectors[:, :2])
    single = table_of(tmp_path, ["e0", *(f"unit{k}" for k in range(10))], vectors, "w.csv")
    np.testing.assert_allclose(load_images(single).embedding, vectors[:, 1:11])
