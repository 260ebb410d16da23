"""Made-up scored pairs and embeddings of people in groups, for the tests of verification."""

import numpy as np

from fairjax.core.comparisons import Comparisons, Pairs

RACES = ("African", "Asian", "Caucasian", "Indian")


def scored_pairs(
    groups=("a", "b", "c"), *, people=40, pairs=400, cross=100, folds=10, shift=0.03, seed=0
) -> Comparisons:
    """Mated and non-mated pairs within each group, non-mated ones across, people sharing pairs.

    Each group has `pairs` of each kind; non-mated scores are larger by `shift` from group to group,
    and people differ in how much they resemble others.
    """
    rng = np.random.default_rng(seed)
    score, mated, subject, group = [], [], [], []
    likeness = rng.normal(0, 0.05, len(groups) * people)

    def add(first, second, same):
        who = np.stack([first, second], axis=1)
        place = who // people
        mean = np.where(same, 0.45, 0.05 + likeness[who].sum(axis=1) + shift * place.mean(axis=1))
        score.append(rng.normal(mean, 0.13).clip(-1, 1))
        mated.append(np.full(len(first), same))
        subject.append(who)
        group.append(place)

    for g in range(len(groups)):
        one = rng.integers(people, size=pairs)
        other = (one + 1 + rng.integers(people - 1, size=pairs)) % people
        add(g * people + one, g * people + one, True)
        add(g * people + one, g * people + other, False)
        for h in range(g + 1, len(groups) if cross else 0):
            add(
                g * people + rng.integers(people, size=cross),
                h * people + rng.integers(people, size=cross),
                False,
            )
    kinds = np.concatenate(mated)
    return Comparisons(
        score=np.concatenate(score),
        mated=kinds,
        subject=np.concatenate(subject),
        group=np.concatenate(group),
        groups=tuple(groups),
        fold=np.arange(len(kinds)) % folds,
    )


def benchmark(
    groups=RACES, *, people=20, images=4, pairs=80, dim=16, attribute="race", seed=0
) -> tuple[dict[str, np.ndarray], Pairs]:
    """Columns of a model's predictions, and pairs of each kind within each group in ten folds."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(groups) * people), images)
    group = who // people
    offset = rng.normal(size=(len(groups), dim)) * np.linspace(0.2, 0.8, len(groups))[:, None]
    embedding = rng.normal(size=(len(groups) * people, dim))[who] + offset[group]
    embedding += 0.7 * rng.normal(size=embedding.shape)
    first, second, mated, fold = [], [], [], []
    for g in range(len(groups)):
        person = rng.integers(people, size=pairs)
        other = (person + 1 + rng.integers(people - 1, size=pairs)) % people
        image = rng.integers(images, size=pairs)
        for whom, step in ((person, 1), (other, 0)):
            first.append((g * people + person) * images + image)
            second.append((g * people + whom) * images + (image + step) % images)
            mated.append(np.full(pairs, bool(step)))
            fold.append(np.arange(pairs) * 10 // pairs)
    columns = {
        "id": np.array([f"faces/{groups[group[i]]}/{who[i]}/{i}.jpg" for i in range(len(who))]),
        "cluster": who,
        attribute: group,
        "embedding": embedding.astype(np.float32),
    }
    made = (np.concatenate(part) for part in (first, second, mated, fold))
    return columns, Pairs(*made)
