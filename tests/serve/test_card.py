"""A model card that the Hub reads: every number by group stands in its front matter."""

import pytest
from results_example import example_results

from fairjax.core.results import save_results
from fairjax.serve import ModelError
from fairjax.serve.card import card_of_run, hub_card

hub = pytest.importorskip("huggingface_hub")


def test_the_front_matter_has_every_number_by_group(tmp_path):
    results = example_results()
    save_results(tmp_path / "results.json", results)
    card = hub.ModelCard(hub_card(tmp_path, title="Mine: *1*", licence_note="Ask."))
    assert card.data.model_name == "Mine: *1*"
    found = {(e.metric_type, e.dataset_config, e.metric_value) for e in card.data.eval_results}
    expected = {
        (m.name, ", ".join(m.group.values()) or "everyone", m.value)
        for m in results.measures
        if m.value is not None and not m.across
    }
    assert found == expected and len(found) > 3
    assert "## Quantitative analyses" in card.text and r"# Mine: \*1\*" in card.text
    assert card_of_run(tmp_path) in card.text


def test_a_run_without_results_has_no_card(tmp_path):
    assert card_of_run(tmp_path) == ""
    with pytest.raises(ModelError, match=r"no results.json"):
        hub_card(tmp_path, title="x", licence_note="y")
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ModelError, match=r"results.json"):
        card_of_run(tmp_path)
