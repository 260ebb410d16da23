from pathlib import Path

import pytest

from fairjax import config
from fairjax.heads import Head
from fairjax.losses import MARGINS
from fairjax.methods import METHODS, SUPPLIED


@pytest.mark.parametrize("name", MARGINS)
def test_a_section_names_its_margin_and_is_bound_to_it(name):
    for method in ("cosine_margin", "fpr_penalty"):
        section = config.method(method, margin=config.margin(name), head=dict(chunk=64))
        assert section.margin.name == name and section.margin.scale == 64.0
        bound = config.bind_section(METHODS, section, "config.method", supplied=SUPPLIED)
        assert bound.keywords["margin"] == MARGINS[name]()
        assert bound.keywords["head"] == Head(name="dense", chunk=64, rate=0.1)


def test_the_defaults_are_the_papers():
    section = config.method("fpr_penalty")
    assert (section.variant, section.gamma_u) == ("paper", 1e-4)
    assert section.margin.to_dict() == {"name": "cosface", "scale": 64.0, "margin": 0.35}


def test_the_margin_config_can_ask_for_the_papers_false_positives_an_image():
    file = str(Path(__file__).parents[2] / "configs" / "recognition" / "margin.py")
    section = config.load(f"{file}:method=fpr_tface,small,auto_gamma_u").method
    assert (section.variant, section.gamma_u) == ("tface", "auto")
    with pytest.raises(config.ConfigError, match="auto_gamma_u is for method=fpr_penalty"):
        config.load(f"{file}:auto_gamma_u")
