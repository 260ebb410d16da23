import flax.linen as nn
import pytest

from fairjax.methods.checks import check_range, check_vit, check_word
from fairjax.models import BACKBONES


def test_a_setting_in_range_and_a_known_word_pass():
    check_range(True, "weight", 0.0, "0 or more")
    check_word("tta", "none", ("sum", "none"))


def test_a_refusal_says_where_the_setting_stands_its_value_and_the_rule():
    with pytest.raises(ValueError) as raised:
        check_range(False, "weight", -1.0, "0 or more")
    assert str(raised.value) == "config.method.weight=-1.0 must be 0 or more."
    with pytest.raises(ValueError) as raised:
        check_word("tta", "mean", ("sum", "none"))
    assert str(raised.value) == "config.method.tta='mean' is not known; known: sum, none."


def test_a_backbone_without_patches_is_refused_by_name():
    check_vit("automae", BACKBONES["vit"](), "maps")
    with pytest.raises(ValueError, match=r"^automae needs config\.backbone\.name='vit'\.$"):
        check_vit("automae", nn.Dense(3))


class PatchesAlone(nn.Module):
    patch: int = 8
    pool: str = "cls"
    positions: str = "learned"


def test_a_backbone_needs_attention_maps_only_where_a_method_reads_them():
    check_vit("masked_autoencoder", PatchesAlone())
    with pytest.raises(ValueError, match="automae needs"):
        check_vit("automae", PatchesAlone(), "maps")
