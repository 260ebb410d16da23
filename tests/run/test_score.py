"""What a run's report says of its data."""

from fairjax.run.score import data_notes


def test_notes_and_skipped_images_of_a_run_stand_among_its_limits():
    skipped = [
        {"file": "a.jpg", "kind": "unreadable", "reason": "damaged"},
        {"file": "b.jpg", "kind": "unreadable", "reason": "damaged"},
        {"file": "c.jpg", "kind": "name", "reason": "no label"},
    ]
    manifest = {
        "hash": "0",
        "notes": ["4 pictures stand under the names of several people."],
        "skipped": skipped,
        "benchmark": {"notes": ["20 pictures were turned."], "skipped": skipped[2:]},
        "splits": {"train": {"skipped": []}},
    }
    assert data_notes(manifest) == [
        "Data: 4 pictures stand under the names of several people.",
        "Data: 3 image files were skipped (unreadable 2, name 1); data.json names them.",
        "Data: 20 pictures were turned.",
        "Data: 1 image file was skipped (name 1); data.json names them.",
    ]
    assert data_notes({"hash": "0", "skipped": [], "notes": []}) == []
