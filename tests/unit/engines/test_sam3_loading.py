"""Meta's SAM 3: what is said when something is missing, and how versions of its package are told apart."""

from __future__ import annotations

import importlib
import importlib.machinery
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.engines.sam3 import build, checkpoint, vocabulary
from backend.engines.sam3.options import Sam3Options
from backend.errors import EngineError

torch = pytest.importorskip("torch")
# The package has a function of this name in front of the module.
load = importlib.import_module("backend.engines.sam3.load")


def nothing(stage: str) -> None:
    """Whom nobody tells."""


def ours(name: str) -> bool:
    return name.partition(".")[0] in ("sam3", "open_clip")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty package `sam3`, and no `open_clip`."""
    folder = tmp_path / "site" / "sam3"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "model" / "__init__.py").touch()
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if ours(name)}
    monkeypatch.setattr(sys, "path", [str(folder.parent)])
    monkeypatch.setattr(sys, "meta_path", [importlib.machinery.PathFinder])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    yield folder
    for name in [name for name in sys.modules if ours(name)]:
        del sys.modules[name]
    sys.modules.update(before)


# --- the vocabulary --------------------------------------------------------------------------


def test_the_vocabulary_that_is_given_comes_first(package: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.gz"
    given.touch()
    assert vocabulary.find_vocabulary(given) == given


def test_a_given_vocabulary_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="SAM3_BPE_PATH") as refused:
        vocabulary.find_vocabulary(tmp_path / "missing.gz")
    assert str(tmp_path) not in refused.value.sentence


def test_the_vocabulary_is_found_in_the_package_or_beside_it(package: Path) -> None:
    for folder in (package.parent / "assets", package / "assets"):
        folder.mkdir()
        (folder / vocabulary.NAME).touch()
        assert vocabulary.find_vocabulary(None) == folder / vocabulary.NAME


def test_the_vocabulary_of_open_clip_is_found_without_importing_it(package: Path) -> None:
    other = package.parent / "open_clip"
    other.mkdir()
    (other / "__init__.py").write_text("raise ImportError('nobody needs me')")
    (other / vocabulary.NAME).touch()
    assert vocabulary.find_vocabulary(None) == other / vocabulary.NAME


def test_a_missing_vocabulary_is_explained(package: Path) -> None:
    with pytest.raises(EngineError, match="open_clip_torch") as refused:
        vocabulary.find_vocabulary(None)
    assert refused.value.code == "engine_unavailable"


# --- the weights -----------------------------------------------------------------------------


def test_weights_from_a_file_and_from_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "weights" / "mine.pt"
    file.parent.mkdir()
    file.touch()
    assert checkpoint.find_checkpoint(str(file), nothing) == checkpoint.Checkpoint("mine.pt", file)
    assert checkpoint.find_checkpoint(str(file.parent), nothing) == checkpoint.Checkpoint("weights", file)
    usual = file.with_name("sam3.pt")
    usual.touch()
    assert checkpoint.find_checkpoint(str(file.parent), nothing).path == usual


@pytest.mark.parametrize("wanted", [None, "", "facebook/sam3"])
def test_meta_s_own_weights_are_left_to_the_package(wanted: str | None) -> None:
    assert checkpoint.find_checkpoint(wanted, nothing) == checkpoint.Checkpoint("facebook/sam3", None)


@pytest.mark.parametrize("wanted", ["/srv/secret/sam3.pt", "weights/sam3.pt", "no such folder", "a/b/c"])
def test_weights_that_are_not_there(wanted: str) -> None:
    with pytest.raises(EngineError, match="SAM3_CHECKPOINT") as refused:
        checkpoint.find_checkpoint(wanted, nothing)
    assert wanted not in refused.value.sentence


@pytest.mark.parametrize("names", [(), ("a.pt", "b.pt"), ("model.safetensors",)])
def test_a_folder_must_say_which_weights(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(EngineError) as refused:
        checkpoint.find_checkpoint(str(tmp_path), nothing)
    assert str(tmp_path) not in refused.value.sentence


def test_weights_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    told: list[str] = []
    monkeypatch.setattr(hub, "list_repo_files", lambda repository: ["README.md", "tuned.pt"])
    monkeypatch.setattr(hub, "hf_hub_download", lambda repository, name: f"/cache/{repository}/{name}")
    found = checkpoint.find_checkpoint("somebody/sam3-tuned", told.append)
    assert found == checkpoint.Checkpoint("somebody/sam3-tuned", Path("/cache/somebody/sam3-tuned/tuned.pt"))
    assert told == ["fetching somebody/sam3-tuned"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("GatedRepoError", "accept it .* HF_TOKEN"),
        ("RepositoryNotFoundError", "There is no somebody/x"),
        ("HfHubHTTPError", "network"),
        ("LocalEntryNotFoundError", "network"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, kind: str, says: str) -> None:
    hub = pytest.importorskip("huggingface_hub")
    httpx = pytest.importorskip("httpx")
    errors = pytest.importorskip("huggingface_hub.errors")
    made = getattr(errors, kind)
    response = httpx.Response(403, request=httpx.Request("GET", "https://hub"))
    error = made("no") if kind == "LocalEntryNotFoundError" else made("no", response=response)

    def refuse(repository: str) -> list[str]:
        raise error

    monkeypatch.setattr(hub, "list_repo_files", refuse)
    with pytest.raises(EngineError, match=says) as refused:
        checkpoint.find_checkpoint("somebody/x", nothing)
    assert refused.value.code == "engine_unavailable"
    assert checkpoint.from_hub(error)


# --- the machine -----------------------------------------------------------------------------


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "find_spec", lambda name: None if name == "sam3" else object())
    with pytest.raises(EngineError, match=r"the package sam3: pip install .*\[sam3\]"):
        load.load(Sam3Options(), nothing)


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError, match=r"needs an NVIDIA GPU .* check the driver") as refused:
        load.load(Sam3Options(), nothing)
    assert refused.value.code == "engine_unavailable"


def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(EngineError, match="3 GPUs together, but 2"):
        load.load(Sam3Options(gpus=3), nothing)


@pytest.mark.parametrize(
    ("raised", "says", "code"),
    [
        (ModuleNotFoundError("No module named 'psutil'", name="psutil"), "the package psutil", "engine_unavailable"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory is too small", "out_of_memory"),
        (RuntimeError("Error(s) in loading state_dict for X"), "mine.pt are not SAM 3's", "engine_unavailable"),
        (AssertionError("/srv/secret"), r"could not be loaded \(AssertionError\)", "engine_unavailable"),
    ],
)
def test_what_fails_while_loading_is_translated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, raised: Exception, says: str, code: str
) -> None:
    def fail(*args: object) -> None:
        raise raised

    monkeypatch.setattr(build, "build", fail)
    weights, words = tmp_path / "mine.pt", tmp_path / "words.gz"
    weights.touch()
    words.touch()
    with pytest.raises(EngineError, match=says) as refused:
        load.load_one(Sam3Options(checkpoint=str(weights), bpe_path=words), nothing)
    assert refused.value.code == code
    assert "secret" not in refused.value.sentence


# --- versions of the package -----------------------------------------------------------------


class Part:
    """A part of a model with whatever the adapter looks for."""

    def __init__(self, *names: str) -> None:
        for name in names:
            setattr(self, name, None)


def stand_in() -> Any:
    """A model with all that is needed, and the settings that either version has."""
    model: Any = Part(*build.NEEDED[""])
    model.detector = Part(*build.NEEDED["detector"])
    model.tracker = Part(*build.NEEDED["tracker"])
    model.tracker.track_step = lambda frame_idx: frame_idx
    model.hotstart_delay, model.world_size, model.detector.world_size = 15, 8, 8
    return model


def install(package: Path, name: str, **contents: object) -> None:
    """Put a module with some contents into the package."""
    (package / Path(*name.split("."))).with_suffix(".py").touch()
    module = types.ModuleType(f"sam3.{name}")
    module.__dict__.update(contents)
    module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
    sys.modules[module.__name__] = module


Made = list[dict[str, Any]]


def recorder(made: Made, function: Callable[..., Any]) -> Callable[..., Any]:
    """A builder with the signature of `function`, that notes what it was called with."""

    def build_it(**kwargs: Any) -> Any:
        made.append(kwargs)
        return types.SimpleNamespace(model=stand_in())

    build_it.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return build_it


def test_the_predictor_is_built_with_what_it_knows(package: Path, tmp_path: Path) -> None:
    made: Made = []

    def known(checkpoint_path=None, bpe_path=None, apply_temporal_disambiguation=True):  # type: ignore[no-untyped-def]
        pass

    install(package, "model.sam3_video_predictor", Sam3VideoPredictor=recorder(made, known))
    model = build.build(checkpoint.Checkpoint("mine.pt", tmp_path / "mine.pt"), tmp_path / "words.gz", False)
    assert made == [
        {
            "checkpoint_path": str(tmp_path / "mine.pt"),
            "bpe_path": str(tmp_path / "words.gz"),
            "apply_temporal_disambiguation": False,
        }
    ]
    # Answers come at once, and no launcher's environment makes the model wait for others.
    assert (model.hotstart_delay, model.world_size, model.detector.world_size) == (0, 1, 1)
    assert not hasattr(model, "postprocess_batch_size")


@pytest.mark.parametrize(("name", "version"), [("facebook/sam3.1", "sam3.1"), ("mine.pt", "sam3")])
def test_the_newer_package_is_asked_for_the_version_and_no_flash_attention(
    package: Path, tmp_path: Path, name: str, version: str
) -> None:
    made: Made = []

    def known(checkpoint_path=None, bpe_path=None, version="sam3.1", compile=False, warm_up=False, use_fa3=True,  # type: ignore[no-untyped-def]
              async_loading_frames=True, max_num_objects=16):  # fmt: skip
        pass

    install(package, "model_builder", build_sam3_predictor=recorder(made, known))
    build.build(checkpoint.Checkpoint(name, None), tmp_path / "words.gz", True)
    assert made[0]["version"] == version
    assert made[0]["use_fa3"] is False
    assert made[0]["async_loading_frames"] is False
    assert "apply_temporal_disambiguation" not in made[0]


def test_newer_weights_with_the_older_package(package: Path, tmp_path: Path) -> None:
    install(package, "model_builder")
    with pytest.raises(EngineError, match=r"knows no SAM 3\.1"):
        build.build(checkpoint.Checkpoint("facebook/sam3.1", None), tmp_path / "words.gz", True)


@pytest.mark.parametrize("part", ["", "detector", "tracker"])
def test_a_model_that_is_built_otherwise_is_refused_at_once(part: str) -> None:
    model = stand_in()
    build.check(model)
    delattr(getattr(model, part) if part else model, build.NEEDED[part][-1])
    with pytest.raises(EngineError, match="doesn't know"):
        build.check(model)


def test_a_setting_of_the_newer_model_is_set(package: Path, tmp_path: Path) -> None:
    model = stand_in()
    model.postprocess_batch_size = 16
    predictor = types.SimpleNamespace(model=model)
    install(package, "model.sam3_video_predictor", Sam3VideoPredictor=lambda: predictor)
    assert build.build(checkpoint.Checkpoint("mine", None), tmp_path, True).postprocess_batch_size == 1


def test_the_tracker_ignores_what_it_does_not_take() -> None:
    tracker = stand_in().tracker
    build.tolerate(tracker)
    assert tracker.track_step(frame_idx=3, gt_masks=None, frames_to_add_correction_pt=[]) == 3
