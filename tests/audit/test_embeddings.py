from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from embeddings_example import IDS, RACES, SUBJECTS, example_vectors
from pyarrow import parquet

from fairjax.audit import pair_choice, run
from fairjax.audit.embedding_files import load_images
from fairjax.audit.embeddings import load_embeddings
from fairjax.audit.layout import TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.people import load_people
from fairjax.audit.tables import InputError

IMAGES = "image,subject,race\n" + "".join(
    f"{i},{s},{r}\n" for i, s, r in zip(IDS, SUBJECTS, RACES, strict=True)
)
PAIRS = "image1,image2,fold\ni0,i1,0\ni0,i2,0\ni4,i5,1\ni4,i6,1\n"


@pytest.fixture
def vectors():
    return example_vectors()


def save(folder: Path, kind: str, vectors: np.ndarray) -> Path:
    path = folder / f"ours.{kind}"
    if kind == "npz":
        np.savez(
            path,
            embedding=vectors,
            id=np.array(IDS),
            subject=np.array(SUBJECTS),
            race=np.array(RACES),
        )
    elif kind == "npy":
        np.save(path, vectors)
    elif kind == "parquet":
        columns = {"id": IDS, "subject": SUBJECTS, "race": RACES, "embedding": vectors.tolist()}
        parquet.write_table(pa.table(columns), path)
    else:
        head = ",".join(["image", "subject", "race", *(f"e{k}" for k in range(6))])
        rows = [
            ",".join([i, s, r, *map(repr, map(float, v))])
            for i, s, r, v in zip(IDS, SUBJECTS, RACES, vectors, strict=True)
        ]
        path.write_text("\n".join([head, *rows]) + "\n")
    return path


def load(paths: dict[str, Path], folder: Path, pairs: str = PAIRS, **more) -> Loaded:
    table = folder / "pairs.csv"
    table.write_text(pairs)
    people, options = more.pop("people", None), TableOptions(by=["race"], **more.pop("options", {}))
    if people is not None:
        (folder / "images.csv").write_text(people)
        people = load_people(folder / "images.csv")
    settings = {"people": people, "pairs": table if pairs else None, "sample": None, "seed": 0}
    return load_embeddings(paths, options, **{**settings, **more})["race"]


@pytest.mark.parametrize("kind", ["npz", "npy", "parquet", "csv"])
def test_every_format_gives_the_same_cosines(tmp_path, vectors, kind):
    more = {"people": IMAGES} if kind == "npy" else {}
    loaded = load({"ours": save(tmp_path, kind, vectors)}, tmp_path, **more)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    by_hand = [unit[0] @ unit[1], unit[0] @ unit[2], unit[4] @ unit[5], unit[4] @ unit[6]]
    np.testing.assert_allclose(loaded.scores["ours"], by_hand, rtol=1e-5)
    assert loaded.mated.tolist() == [True, False, True, False]
    assert loaded.groups == ("X", "Y")
    assert loaded.fold.tolist() == [0, 0, 1, 1]


def test_two_systems_are_compared_on_the_same_images_in_whichever_order(tmp_path, vectors):
    ours = save(tmp_path, "npz", vectors)
    order = np.random.default_rng(1).permutation(8)
    np.savez(tmp_path / "theirs.npz", embedding=vectors[order, :4], id=np.array(IDS)[order])
    loaded = load({"ours": ours, "theirs": tmp_path / "theirs.npz"}, tmp_path)
    narrow = load({"ours": save(tmp_path, "npz", vectors[:, :4].copy())}, tmp_path)
    np.testing.assert_allclose(loaded.scores["theirs"], narrow.scores["ours"], rtol=1e-5)


def test_all_pairs_are_each_pair_once(tmp_path, vectors):
    loaded = load({"ours": save(tmp_path, "npz", vectors)}, tmp_path, pairs="")
    assert len(loaded) == 28 and loaded.mated.sum() == 4
    assert (
        len(np.unique(np.sort(np.stack([loaded.pairs.first, loaded.pairs.second]), 0).T, axis=0))
        == 28
    )


def test_sampled_pairs_keep_to_their_number_in_every_cell(tmp_path, vectors):
    loaded = load({"ours": save(tmp_path, "npz", vectors)}, tmp_path, pairs="", sample=2)
    same = loaded.group[:, 0] == loaded.group[:, 1]
    for g in range(2):
        own = same & (loaded.group[:, 0] == g)
        assert (own & loaded.mated).sum() == (own & ~loaded.mated).sum() == 2
    assert (~same).sum() == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embedding": np.ones((8, 3, 2))}, "must hold one array of embeddings"),
        ({"embedding": np.ones((8, 3), int)}, "not floating point"),
        ({"embedding": np.vstack([np.ones((7, 3)), np.zeros((1, 3))])}, "embedding 8 is all zeros"),
        (
            {"embedding": np.where(np.eye(8, 3) > 0, np.nan, 1.0)},
            "NaN or infinity (3 such embeddings)",
        ),
        ({"race": np.array(RACES[:5])}, "'race' has shape (5,); expected (8,)"),
        ({"id": np.array([*IDS[:7], "i0"])}, "an image is there twice: 'i0'"),
        ({"id": np.array([object()])}, "it holds Python objects"),
    ],
)
def test_unfit_embeddings_are_one_line(tmp_path, vectors, change, words):
    path = tmp_path / "ours.npz"
    stored = {
        "embedding": vectors,
        "id": np.array(IDS),
        "subject": np.array(SUBJECTS),
        "race": np.array(RACES),
    }
    np.savez(path, **{**stored, **change})
    with pytest.raises(InputError) as caught:
        load({"ours": path}, tmp_path)
    assert words in str(caught.value)


def test_an_embedding_of_another_width_is_named(tmp_path, vectors):
    path = tmp_path / "ours.parquet"
    lists = vectors.tolist()
    lists[4] = lists[4][:5]
    parquet.write_table(pa.table({"id": IDS, "embedding": lists}), path)
    with pytest.raises(
        InputError, match="data row 5: the embedding has 5 numbers, the first one 6"
    ):
        load_images(path)


def test_images_without_an_embedding_and_other_images_are_named(tmp_path, vectors):
    ours = save(tmp_path, "npz", vectors)
    with pytest.raises(InputError, match="1 images have no embedding in .*: 'i9'"):
        load({"ours": ours}, tmp_path, PAIRS + "i0,i9,1\n")
    np.savez(tmp_path / "theirs.npz", embedding=vectors[1:], id=np.array(IDS[1:]))
    with pytest.raises(InputError, match="not of the same images: 'i0'"):
        load({"ours": ours, "theirs": tmp_path / "theirs.npz"}, tmp_path)
    with pytest.raises(InputError, match="8 embeddings, .* 7 images"):
        load(
            {"ours": save(tmp_path, "npy", vectors)},
            tmp_path,
            people=IMAGES.replace("i7,d,Y\n", ""),
        )


def test_the_rfw_protocol_reports_every_variant_and_says_what_scores_alone_cannot(
    tmp_path, vectors
):
    settings = run.Settings(fmrs=[0.5], protocol="rfw", resamples=20)
    loaded = load({"ours": save(tmp_path, "npz", vectors)}, tmp_path)
    results = run.measure(loaded, settings)
    found = {m.name: m for m in results.measures if m.group == {"race": "X"}}
    assert {
        "accuracy",
        "accuracy_uncentred",
        "accuracy_insightface",
        "accuracy_facexzoo",
        "accuracy_tface_rfw",
        "accuracy_single_threshold",
    } <= set(found)
    assert found["accuracy"].rule.startswith("rfw_official")


def test_people_and_groups_may_come_from_a_table_of_people(tmp_path, vectors):
    np.savez(tmp_path / "ours.npz", embedding=vectors, id=np.array(IDS), subject=np.array(SUBJECTS))
    people = "subject,race\na,X\nb,X\nc,Y\nd,Y\n"
    loaded = load({"ours": tmp_path / "ours.npz"}, tmp_path, people=people)
    assert loaded.groups == ("X", "Y") and loaded.mated.tolist() == [True, False, True, False]
    with pytest.raises(InputError, match="people.csv|images.csv lacks 1 people: 'd'"):
        load({"ours": tmp_path / "ours.npz"}, tmp_path, people=people.replace("d,Y\n", ""))
    np.savez(tmp_path / "bare.npz", embedding=vectors, id=np.array(IDS))
    with pytest.raises(InputError, match="does not say who is on its images; add 'subject'"):
        load({"ours": tmp_path / "bare.npz"}, tmp_path, people=people)
    with pytest.raises(InputError, match="says nothing of groups; give a table"):
        load({"ours": tmp_path / "bare.npz"}, tmp_path)


def test_vectors_without_names_need_a_table_in_their_order(tmp_path, vectors):
    with pytest.raises(InputError, match="does not name its images; give a table"):
        load({"ours": save(tmp_path, "npy", vectors)}, tmp_path)


def test_pairs_that_name_no_images_or_other_kinds_are_refused(tmp_path, vectors):
    ours = save(tmp_path, "npz", vectors)
    with pytest.raises(InputError, match="has no columns of images such as image1 and image2"):
        load({"ours": ours}, tmp_path, "same,race\n1,X\n")
    with pytest.raises(InputError, match="--kind l2: embeddings are compared by their cosines"):
        load_embeddings(
            {"ours": ours}, TableOptions(kind="l2"), people=None, pairs=None, sample=None, seed=0
        )


def test_every_pair_needs_people(tmp_path, vectors):
    np.savez(tmp_path / "v.npz", embedding=vectors, id=np.array(IDS), race=np.array(RACES))
    with pytest.raises(InputError, match="need to know who is on each image"):
        load({"ours": tmp_path / "v.npz"}, tmp_path, pairs="")


def test_too_many_pairs_are_refused_before_they_fill_memory(tmp_path, vectors, monkeypatch):
    monkeypatch.setattr(pair_choice, "MOST_PAIRS", 27)
    ours = save(tmp_path, "npz", vectors)
    with pytest.raises(InputError, match="8 images make 28 pairs, more than 27; take --sample-pai"):
        load({"ours": ours}, tmp_path, pairs="")
    assert len(load({"ours": ours}, tmp_path, pairs="", sample=1))


def test_a_sample_depends_on_the_seed_and_not_on_the_files_order(tmp_path, vectors):
    def couples(order, seed):
        path = tmp_path / "v.npz"
        columns = {"id": IDS, "subject": SUBJECTS, "race": RACES}
        stored = {name: np.array(column)[order] for name, column in columns.items()}
        np.savez(path, embedding=vectors[order], **stored)
        loaded = load({"ours": path}, tmp_path, pairs="", sample=1, seed=seed)
        names = np.array(IDS)[order]
        both = zip(names[loaded.pairs.first], names[loaded.pairs.second], strict=True)
        return sorted(tuple(sorted(pair)) for pair in both)

    order = np.random.default_rng(2).permutation(8)
    assert couples(np.arange(8), 0) == couples(order, 0)
    assert any(couples(np.arange(8), 0) != couples(np.arange(8), seed) for seed in range(1, 5))


def test_sampled_pairs_are_of_two_people_and_none_twice(tmp_path, vectors):
    loaded = load({"ours": save(tmp_path, "npz", vectors)}, tmp_path, pairs="", sample=100)
    assert loaded.mated.sum() == 4
    assert (loaded.mated == (loaded.subject[:, 0] == loaded.subject[:, 1])).all()
    pairs = np.sort(np.stack([loaded.pairs.first, loaded.pairs.second], axis=1), axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs) == 28  # all that there are


def save_with(folder: Path, vectors: np.ndarray, name: str = "ours", **more: np.ndarray) -> Path:
    path = folder / f"{name}.npz"
    np.savez(
        path,
        embedding=vectors,
        id=np.array(IDS),
        subject=np.array(SUBJECTS),
        race=np.array(RACES),
        **more,
    )
    return path


def test_variances_and_their_logarithms_give_the_same_likelihoods(tmp_path, vectors):
    variance = np.random.default_rng(1).uniform(0.1, 2, vectors.shape)
    for stored in ({"variances": variance}, {"log_variances": np.log(variance)}):
        loaded = load({"ours": save_with(tmp_path, vectors, **stored)}, tmp_path)
        assert loaded.kinds == {"ours": "mls"}
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        total = variance[0] + variance[2]
        expected = -((unit[0] - unit[2]) ** 2 / total + np.log(total)).sum()  # the pair i0, i2
        np.testing.assert_allclose(loaded.scores["ours"][1], expected, rtol=1e-6)
    plain = load({"ours": save_with(tmp_path, vectors)}, tmp_path)
    cosines = load(
        {"ours": save_with(tmp_path, vectors, **stored)}, tmp_path, options={"scorer": "cosine"}
    )
    assert cosines.kinds == {"ours": "cosine"}
    np.testing.assert_array_equal(cosines.scores["ours"], plain.scores["ours"])


def test_variances_follow_their_images_in_another_order(tmp_path, vectors):
    variance = np.random.default_rng(1).uniform(0.1, 2, vectors.shape)
    ours = save_with(tmp_path, vectors, variances=variance)
    turned = tmp_path / "turned.npz"
    np.savez(turned, embedding=vectors[::-1], id=np.array(IDS[::-1]), variances=variance[::-1])
    loaded = load({"ours": ours, "turned": turned}, tmp_path)
    np.testing.assert_array_equal(loaded.scores["ours"], loaded.scores["turned"])


def test_likelihoods_are_measured_with_what_needs_no_cosine(tmp_path, vectors):
    path = save_with(tmp_path, vectors, variances=np.full(vectors.shape, 0.5))
    loaded = load({"ours": path}, tmp_path)
    results = run.measure(loaded, run.Settings(fmrs=[0.5], protocol="rfw", resamples=20))
    assert results.protocol["accuracies"] == ["facexzoo", "exact", "single_threshold"]
    assert results.protocol["score_kinds"] == {"ours": "mls"}
    said = " ".join(results.limits)
    assert "mutual likelihood" in said and "cannot be turned into cosines" in said


@pytest.mark.parametrize(
    ("stored", "options", "words"),
    [
        ({"variances": np.ones((8, 5))}, {}, "'variances': variances have shape (8, 5)"),
        ({"variances": np.zeros((8, 6))}, {}, "(8 such rows); logarithms of variances are"),
        (
            {"variances": np.ones((8, 6)), "log_variances": np.ones((8, 6))},
            {},
            "has 'variances', 'log_variances'; keep one",
        ),
        ({}, {"scorer": "mls"}, "has no 'variances' or 'log_variances' [images, dim]"),
        ({"variances": np.ones((8, 6))}, {"kind": "cosine"}, "by mutual likelihood"),
        ({}, {"kind": "l2"}, "embeddings are compared by their cosines"),
    ],
)
def test_unfit_variances_are_one_line(tmp_path, vectors, stored, options, words):
    with pytest.raises(InputError) as caught:
        load({"ours": save_with(tmp_path, vectors, **stored)}, tmp_path, options=options)
    assert words in str(caught.value) and "\n" not in str(caught.value)
