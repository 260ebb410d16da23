"""Weights & Biases and MLflow through stand-ins: what they are told, and that nothing is sent."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from fairjax.core.settings import TRACKERS as NAMES
from fairjax.core.settings import TrainSettings
from fairjax.run import track
from fairjax.run.track import TRACKERS, hyperparameters, open_trackers

CONFIG = {"seed": 3, "optim": {"peak_lr": 0.1, "freeze": ["head"]}, "title": ""}
VARIABLES = ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def wandb(monkeypatch):
    """A module that keeps what it is told."""
    module = ModuleType("wandb")
    module.begun, module.logged = [], []

    def init(**arguments):
        module.begun.append(arguments)
        return SimpleNamespace(
            log=lambda values, step: module.logged.append((step, values)),
            finish=lambda: module.logged.append("finished"),
        )

    module.init, module.Settings = init, lambda **settings: settings
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_tensorflow_is_kept_off_the_gpus_before_tensorboard_pulls_it_in(tmp_path, monkeypatch):
    def refuse():
        raise InterruptedError

    monkeypatch.setattr(track, "import_tensorflow", refuse)
    monkeypatch.setitem(sys.modules, "tensorboard.plugins.hparams", None)  # importing it fails
    with pytest.raises(InterruptedError):
        track.TensorBoard(tmp_path, {}, 0)


class Client:
    """MLflow's client with its server in a class variable."""

    store: dict = {}

    def __init__(self, uri):
        self.uri = uri
        self.runs = Client.store.setdefault(uri, {})

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id=name) if name in self.runs else None

    def create_experiment(self, name):
        self.runs[name] = []
        return name

    def create_run(self, experiment, run_name, tags):
        run = SimpleNamespace(
            info=SimpleNamespace(run_id=f"{run_name}-{len(self.runs[experiment])}"),
            tags=tags,
            params={},
            metrics=[],
            ended=0,
        )
        self.runs[experiment].append(run)
        return run

    def search_runs(self, experiments, asked):
        wanted = asked.split("'")[1]
        return [run for run in self.runs[experiments[0]] if run.tags["fairjax"] == wanted]

    def update_run(self, run_id, status):
        assert status == "RUNNING"

    def log_batch(self, run_id, metrics=(), params=()):
        assert len(params) <= 100
        run = self.run(run_id)
        run.params |= {one.key: one.value for one in params}
        run.metrics += [(one.key, one.value, one.step) for one in metrics]

    def set_terminated(self, run_id):
        self.run(run_id).ended += 1

    def run(self, run_id):
        return next(r for runs in self.runs.values() for r in runs if r.info.run_id == run_id)


@pytest.fixture
def mlflow(monkeypatch):
    modules = {name: ModuleType(name) for name in ("mlflow", "mlflow.entities", "mlflow.tracking")}
    entities = modules["mlflow.entities"]
    entities.Metric = lambda key, value, time, step: SimpleNamespace(
        key=key, value=value, step=step
    )
    entities.Param = lambda key, value: SimpleNamespace(key=key, value=value)
    modules["mlflow.tracking"].MlflowClient = Client
    Client.store = {}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return Client.store


def followed(name, folder, *, start_step=0, config=CONFIG, steps=(7,)):
    """Opens a tracker, gives it numbers and closes it."""
    (tracker,) = open_trackers([name], workdir=folder, config=config, start_step=start_step)
    for step in steps:
        tracker.scalars(step, {"train/loss": 2.5, "groups/age_mae_gap": 1.0})
    tracker.close()


def test_the_settings_know_every_tracker():
    assert set(TRACKERS) == set(NAMES)
    assert TrainSettings().track == ("tensorboard",)
    with pytest.raises(ValueError, match="track='tensorbord' must be one of 'tensorboard'"):
        TrainSettings(track=("tensorbord",))
    with pytest.raises(ValueError, match="names that differ"):
        TrainSettings(track=("wandb", "wandb"))


def test_hyperparameters_are_flat_and_plain():
    assert hyperparameters(CONFIG) == {
        "seed": 3,
        "optim.peak_lr": 0.1,
        "optim.freeze": '["head"]',
        "title": "",
    }


def test_wandb_is_offline_in_the_runs_folder_unless_the_environment_says_otherwise(
    wandb, tmp_path, monkeypatch
):
    followed("wandb", tmp_path)
    (begun,) = wandb.begun
    assert begun["mode"] == "offline" and begun["dir"] == str(tmp_path)
    assert begun["project"] == "fairjax" and begun["name"] == tmp_path.name
    assert begun["config"]["optim.peak_lr"] == 0.1
    assert begun["settings"]["disable_git"] and not begun["settings"]["save_code"]
    values = {"train/loss": 2.5, "groups/age_mae_gap": 1.0}
    assert wandb.logged == [(7, values), "finished"]
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "ours")
    followed("wandb", tmp_path)
    assert wandb.begun[1]["mode"] == "online" and wandb.begun[1]["project"] == "ours"


def test_a_resumed_run_continues_its_own_record_in_wandb(wandb, tmp_path):
    followed("wandb", tmp_path)
    followed("wandb", tmp_path, start_step=7)
    followed("wandb", tmp_path / "other")
    first, second, third = wandb.begun
    assert first["id"] == second["id"] != third["id"]
    assert (first["resume"], second["resume"]) == (None, "allow")


def test_mlflow_writes_to_a_file_in_the_runs_folder_unless_a_server_is_named(
    mlflow, tmp_path, monkeypatch
):
    followed("mlflow", tmp_path)
    own = f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert set(mlflow) == {own}
    (run,) = mlflow[own]["fairjax"]
    assert run.params["optim.peak_lr"] == "0.1" and run.ended == 1
    assert run.metrics == [("train/loss", 2.5, 7), ("groups/age_mae_gap", 1.0, 7)]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    followed("mlflow", tmp_path)
    assert "ours" in mlflow["http://127.0.0.1:5000"]


def test_a_resumed_run_continues_its_own_record_in_mlflow(mlflow, tmp_path):
    followed("mlflow", tmp_path)
    followed("mlflow", tmp_path, start_step=7, steps=(8, 9))
    ((run,),) = (store["fairjax"] for store in mlflow.values())
    assert [step for _, _, step in run.metrics] == [7, 7, 8, 8, 9, 9] and run.ended == 2


def test_many_parameters_go_in_batches(mlflow, tmp_path):
    followed("mlflow", tmp_path, config={f"key{k}": "x" * 1000 for k in range(250)})
    ((run,),) = (store["fairjax"] for store in mlflow.values())
    assert len(run.params) == 250 and len(run.params["key0"]) == 500


def test_a_tracker_that_is_not_installed_names_its_extra(tmp_path, monkeypatch):
    from fairjax.core.errors import missing_extra

    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ModuleNotFoundError) as raised:
        followed("wandb", tmp_path)
    assert "extra 'track'" in missing_extra(raised.value, "training")
