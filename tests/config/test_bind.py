"""Sections are built, completed and checked from the signatures of what they name."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from fairjax.config import ConfigError, base_config, dataset, differences, method, protocol
from fairjax.config import bind as door
from fairjax.config.bind import bind_section, bind_settings, section_of
from fairjax.core.settings import InputSettings, TrainSettings


@dataclass(frozen=True, kw_only=True)
class Shape:
    side: float = 1.0

    @staticmethod
    def kinds() -> "Mapping[str, type[Shape]]":
        return {"square": Shape, "box": Box}

    def __post_init__(self) -> None:
        if self.side <= 0:
            raise ValueError(f"side={self.side} must be above 0.")


@dataclass(frozen=True, kw_only=True)
class Box(Shape):
    depth: float = 3.0


@dataclass(frozen=True, kw_only=True)
class Paint:
    colour: str = "red"


def thing(*, supplied, size, shape: Shape = Box(side=2.0), paint: Paint = Paint(), at=(0, 1)):  # noqa: B008
    return supplied, size, shape, paint, at


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    known = door.registry_of

    def registry_of(path):
        return door.Registry({"thing": thing}, ("supplied",)) if path == "x" else known(path)

    monkeypatch.setattr(door, "registry_of", registry_of)


def made(**changes):
    return door.named_section("x", "thing", changes).to_dict()


def test_a_section_has_every_setting_and_the_sections_inside_it_theirs():
    assert made(size=1) == {
        "name": "thing",
        "size": 1,
        "shape": {"name": "box", "side": 2.0, "depth": 3.0},
        "paint": {"colour": "red"},
        "at": (0, 1),
    }


def test_what_is_changed_inside_leaves_the_rest_and_another_kind_has_its_own_defaults():
    assert made(size=1, shape={"depth": 4})["shape"] == {"name": "box", "side": 2.0, "depth": 4.0}
    assert made(size=1, shape={"name": "square"})["shape"] == {"name": "square", "side": 1.0}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "config.x.size is missing; 'thing' needs it"),
        ({"size": 1, "sise": 2}, "config.x.sise is not a setting of 'thing'; did you mean 'size'"),
        ({"size": 1, "supplied": 2}, "config.x.supplied is not a setting"),
        ({"size": 1, "shape": {"dept": 2}}, "config.x.shape.dept .*did you mean 'depth'"),
        ({"size": 1, "shape": {"name": "bax"}}, "config.x.shape.name='bax' .*did you mean 'box'"),
        ({"size": 1, "shape": {"side": -1.0}}, "^config.x.shape.side=-1.0 must be above 0"),
        ({"size": 1, "paint": {"color": ""}}, "config.x.paint.color .*did you mean 'colour'"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(changes, said):
    with pytest.raises(ConfigError, match=said):
        made(**changes)


def test_a_section_becomes_arguments_and_dataclasses():
    section = {"name": "thing", "size": 1, "at": [2, 3], "shape": {"name": "square", "side": 5}}
    bound = bind_section({"thing": thing}, section, "config.x", supplied=("supplied",))
    assert bound(supplied="s") == ("s", 1, Shape(side=5.0), Paint(), (2, 3))


def test_settings_come_back_from_their_section():
    settings = TrainSettings(epochs=3.0, patience=2)
    assert bind_settings(TrainSettings, section_of(settings), "config.train") == settings
    section = section_of(InputSettings())
    section.augment.flip = 2.0
    with pytest.raises(ConfigError, match="^config.input.augment.flip=2.0 must lie in"):
        bind_settings(InputSettings, section, "config.input")


def test_an_older_config_had_the_defaults_of_whatever_it_lacks():
    config = base_config()
    config.data = dataset("phantom_identities")
    config.method = method("fpr_penalty")
    config.eval.protocol = protocol("rfw")
    old, new = config.to_dict(), config.to_dict()
    del old["data"]["benchmark"]["folds"], old["method"]["head"], old["eval"]["protocol"]["fmrs"]
    assert differences(old, new) == []
    new["data"]["benchmark"]["folds"] = 5
    assert differences(old, new) == ["data.benchmark.folds: 10 -> 5"]


def test_a_config_is_loaded_and_checked_without_a_device():
    code = (
        "import sys, fairjax.config as c; assert 'jax' not in sys.modules; "
        "c.validate(c.load('quickstart:smoke')); from jax._src import xla_bridge; "
        "assert not xla_bridge._backends"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
