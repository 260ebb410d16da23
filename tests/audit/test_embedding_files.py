import numpy as np
import pyarrow as pa
import pytest
from embeddings_example import IDS, RACES, example_vectors
from pyarrow import parquet

from fairjax.audit.embedding_files import load_images
from fairjax.audit.tables import InputError


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


def test_groups_of_images_without_names_are_left_to_a_table(tmp_path, vectors):
    np.savez(tmp_path / "v.npz", embedding=vectors, subject=np.array(IDS), race=np.array(RACES))
    found = load_images(tmp_path / "v.npz")
    assert list(found.ids) == [] and found.people is None


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
