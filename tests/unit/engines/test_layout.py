"""Which worker has which GPUs, and where a session that asks for some may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.engines import devices, registry
from backend.engines.devices import Gpu
from backend.engines.layout import groups, workers_for
from backend.engines.registry import EngineSpec, choose
from backend.engines.sam3.options import Sam3Options
from backend.errors import EngineError, InvalidInput
from backend.workers.local import _environment_of
from backend.workers.pool import Pool
from tests.conftest import make_settings
from tests.unit.engines.scripted import ScriptedModel

TWO = (Gpu(0, "one", 80_000, 0), Gpu(1, "other", 80_000, 0))


@pytest.mark.parametrize(
    ("setting", "available", "expected"),
    [
        ("", [0, 1, 2], ((0,), (1,), (2,))),
        ("", [], ()),
        ("0,1", [0, 1, 2], ((0,), (1,))),
        ("0+1,2", [0, 1, 2], ((0, 1), (2,))),
        (" 1 + 0 ", [0, 1], ((1, 0),)),
    ],
)
def test_the_setting_makes_the_workers(setting, available, expected):
    assert groups(setting, available) == expected


def test_a_gpu_that_is_not_there_is_said_with_those_that_are():
    with pytest.raises(InvalidInput, match=r"names GPU 2 and 3, but this machine has GPUs 0 and 1\."):
        groups("0,2,3", [0, 1])
    with pytest.raises(InvalidInput, match=r"has none\."):
        groups("0", [])
    with pytest.raises(InvalidInput, match="twice"):
        groups("0,0+1", [0, 1])


@pytest.mark.parametrize(
    ("gpu_ids", "expected"),
    [([0], [0]), ([1], [1]), ([0, 1], [0, 1]), ([2, 3], [2]), ([3, 2], [2]), ([0, 2, 3], [0, 2])],
)
def test_a_session_goes_where_its_gpus_are(gpu_ids, expected):
    assert workers_for(gpu_ids, ((0,), (1,), (2, 3))) == expected


def test_gpus_that_no_worker_has_or_that_only_work_together_are_refused():
    with pytest.raises(InvalidInput, match=r"no GPU 7 .* has GPUs 0, 1 and 2\."):
        workers_for([7], ((0,), (1, 2)))
    with pytest.raises(InvalidInput, match="1 and 2 work together"):
        workers_for([1], ((0,), (1, 2)))
    with pytest.raises(InvalidInput, match=r"has none\."):
        workers_for([0], ((),))


def test_sessions_stay_on_the_workers_they_asked_for(tmp_path: Path):
    # Not started: placing needs no process.
    pool = Pool([EngineSpec("fake", tmp_path, gpus=g) for g in ((0,), (1,), (2, 3))])
    pool.wish("alone", [1])
    pool.wish("group", [3, 2])
    pool.wish("either", [0, 1])
    assert pool.incarnation("alone")[0] == 1
    assert pool.incarnation("group")[0] == 2
    assert pool.incarnation("either")[0] == 0
    assert pool.gpus == (0, 1, 2, 3)
    pool.release("alone")
    assert pool.incarnation("alone")[0] == 1
    with pytest.raises(InvalidInput, match="no GPU 9"):
        pool.wish("far", [9])


def test_pictures_of_the_same_content_go_to_the_same_worker(tmp_path: Path):
    pool = Pool([EngineSpec("fake", tmp_path)] * 3)
    for session, number in (("a", 4), ("b", 4), ("c", 5)):
        pool.wish(session, likeness=number)
    assert [pool.incarnation(s)[0] for s in "abc"] == [1, 1, 2]


def test_a_worker_sees_its_own_gpus_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import os

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with _environment_of(EngineSpec("sam3", tmp_path, device="cuda", gpus=(1, 3))):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    with _environment_of(EngineSpec("sam3", tmp_path, device="cuda", gpus=(1, 3))):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5,6,7"


@pytest.mark.parametrize(
    ("listed", "expected"), [(None, [0, 1, 2]), ("", []), ("2,0", [2, 0]), ("1,-1,0", [1]), ("9", [])]
)
def test_cuda_visible_devices_counts(listed, expected, monkeypatch: pytest.MonkeyPatch):
    if listed is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert devices._visible(3) == expected


# --- which engine ------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """Say which packages are installed."""

    def say(*packages: str) -> None:
        monkeypatch.setattr(registry, "find_spec", lambda name: name if name in packages else None)

    return say


def test_auto_without_a_gpu_is_lite_and_says_why(tmp_path, installed):
    installed("torch", "sam3", "transformers")
    (spec,) = choose(make_settings(tmp_path, engine="auto"))
    assert spec.name == "lite"
    assert "needs an NVIDIA GPU" in spec.reason
    assert "unless MODEL_ID or ENGINE asks for it" in spec.reason


def test_auto_with_nothing_installed_says_what_to_install(tmp_path, installed):
    installed()
    (spec,) = choose(make_settings(tmp_path, engine="auto"), TWO)
    assert spec.name == "lite"
    assert "pip install '.[sam3]'" in spec.reason


def test_auto_takes_sam3_first_and_falls_back_step_by_step(tmp_path, installed):
    installed("torch", "sam3", "transformers")
    specs = choose(make_settings(tmp_path, engine="auto", sam3_checkpoint="weights.pt"), TWO)
    assert [(s.name, s.gpus, s.checkpoint) for s in specs] == [
        ("sam3", (0,), "weights.pt"),
        ("sam3", (1,), "weights.pt"),
    ]
    second = specs[0].fallback
    assert second is not None
    assert second.name == "transformers"
    assert second.fallback is not None
    assert second.fallback.name == "lite"


def test_auto_takes_transformers_where_a_checkpoint_is_named(tmp_path, installed):
    installed("torch", "transformers")
    (spec,) = choose(make_settings(tmp_path, engine="auto", model_id="facebook/sam2.1-hiera-tiny"))
    assert (spec.name, spec.checkpoint) == ("transformers", "facebook/sam2.1-hiera-tiny")
    assert "sam3" in spec.reason


def test_groups_of_gpus_are_sam3_s_only(tmp_path, installed):
    installed("torch", "sam3", "transformers")
    settings = {"video_model_gpus": "0+1"}
    assert [s.gpus for s in choose(make_settings(tmp_path, engine="sam3", **settings), TWO)] == [(0, 1)]
    assert [s.gpus for s in choose(make_settings(tmp_path, engine="transformers", **settings), TWO)] == [(0,), (1,)]


def test_what_is_required_is_not_replaced(tmp_path, installed):
    installed("torch", "sam3")
    with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
        choose(make_settings(tmp_path, engine="sam3", video_model_required=True))
    specs = choose(make_settings(tmp_path, engine="sam3", video_model_required=True), TWO)
    assert [s.fallback for s in specs] == [None, None]


def test_gpus_of_the_settings_must_be_there(tmp_path, installed):
    installed("torch", "sam3")
    with pytest.raises(InvalidInput, match="names GPU 4"):
        choose(make_settings(tmp_path, engine="sam3", video_model_gpus="4"), TWO)


def test_the_settings_of_sam3_reach_what_loads_it(tmp_path, installed, monkeypatch: pytest.MonkeyPatch):
    installed("torch", "sam3")
    asked = {
        "sam3_checkpoint": "somewhere/sam3.pt",
        "sam3_bpe_path": tmp_path / "words.gz",
        "video_model_compile": True,
        "video_model_temporal_disambiguation": False,
        "video_model_gpus": "0+1",
    }
    seen: list[Sam3Options] = []

    def load(options: Sam3Options, report: object) -> ScriptedModel:
        seen.append(options)
        return ScriptedModel()

    monkeypatch.setattr("backend.engines.sam3.load", load)
    for settings in (asked, {}):
        (spec, *_) = choose(make_settings(tmp_path, engine="sam3", **settings), TWO)
        registry.build(spec)
    assert seen == [
        Sam3Options("somewhere/sam3.pt", tmp_path / "words.gz", 2, compile=True, temporal_disambiguation=False),
        Sam3Options(),
    ]


def test_the_settings_of_transformers_reach_what_loads_it(tmp_path, installed, monkeypatch: pytest.MonkeyPatch):
    installed("torch", "transformers")
    seen: list[tuple[str, str]] = []

    def load(model_id: str, device: str, report: object) -> ScriptedModel:
        seen.append((model_id, device))
        return ScriptedModel()

    monkeypatch.setattr("backend.engines.transformers.load", load)
    for settings in ({"model_id": "my/model", "image_model_device": "cuda:1"}, {"image_model_device": "cpu"}, {}):
        (spec, *_) = choose(make_settings(tmp_path, engine="transformers", **settings))
        registry.build(spec)
    assert seen == [("my/model", "cuda"), ("facebook/sam3", "cpu"), ("facebook/sam3", "auto")]


def test_the_feature_cache_s_settings_reach_the_engine(tmp_path, installed):
    installed("torch", "transformers")
    on = make_settings(tmp_path, engine="transformers", max_cache_size_mb=7, feature_cache_ttl_seconds=9)
    off = make_settings(tmp_path, engine="transformers", enable_feature_cache=False)
    assert [(s.cache_bytes, s.cache_seconds) for s in choose(on)] == [(7_000_000, 9)]
    assert [s.cache_bytes for s in choose(off)] == [0]


def test_the_stand_in_pretends_to_have_as_many_devices_as_asked(tmp_path: Path):
    assert len(choose(make_settings(tmp_path, engine="fake"))) == 1
    assert [spec.name for spec in choose(make_settings(tmp_path, engine="fake", fake_workers=4))] == ["fake"] * 4
    assert len(choose(make_settings(tmp_path, engine="lite", fake_workers=4))) == 1
