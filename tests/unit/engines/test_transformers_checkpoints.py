"""Which checkpoints load, how, and what is said of those that don't."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.domain import Box
from backend.engines.sam.model import Clicks, SamModel
from backend.errors import EngineError
from tests.tiny import make_checkpoint
from tests.tiny.views import pictures

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import httpx  # noqa: E402
import huggingface_hub  # noqa: E402
from huggingface_hub import errors as hub  # noqa: E402

from backend.engines.transformers import checkpoint as checkpoints  # noqa: E402
from backend.engines.transformers import devices, load  # noqa: E402
from backend.engines.transformers.model import TransformersModel  # noqa: E402
from backend.engines.transformers.pixels import Pixels, drawn, reduced, squared  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("tiny") / "my-sam3", "sam3")


@pytest.fixture(scope="module")
def sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("tiny") / "my-sam2", "sam2")


@pytest.fixture
def copy(sam2: Path, tmp_path: Path) -> Path:
    """A checkpoint to be spoilt."""
    return Path(shutil.copytree(sam2, tmp_path / "copy"))


def refused(model_id: str | Path, device: str = "cpu") -> str:
    """The sentence by which a checkpoint is refused; never with a path in it."""
    with pytest.raises(EngineError) as caught:
        load(str(model_id), device, lambda stage: None)
    assert caught.value.code == "engine_unavailable"
    sentence = caught.value.sentence
    if Path(model_id).is_absolute():
        assert str(Path(model_id).parent) not in sentence
    return sentence


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


# --- what loads ----------------------------------------------------------------------------------


def test_loading_tells_what_it_does(sam2: Path) -> None:
    told: list[str] = []
    model = load(str(sam2), "auto", told.append)
    assert told == ["Importing PyTorch", "Loading the weights of my-sam2"]
    assert model.checkpoint == "my-sam2"


def test_the_tracker_of_sam3_alone_answers_clicks_but_no_words(sam3: Path, tmp_path: Path) -> None:
    import transformers

    package: Any = transformers
    config = package.AutoConfig.from_pretrained(sam3).tracker_config
    torch.manual_seed(0)
    package.Sam3TrackerVideoModel(config).save_pretrained(tmp_path)
    model = load(str(tmp_path), "cpu", lambda stage: None)
    assert model.title == "SAM 3"
    assert not model.capabilities.text
    features = model.encode(pictures(2)[0])
    assert model.segment(features, (90, 160), Clicks(((0.5, 0.5),), (1,))).mask.shape == (90, 160)


def test_sam_2_is_not_called_2_1(copy: Path) -> None:
    change_config(copy, enable_occlusion_spatial_embedding=False)
    assert load(str(copy), "cpu", lambda stage: None).title == "SAM 2"


def test_the_same_tiny_checkpoint_twice(sam3: Path, tmp_path: Path) -> None:
    again = make_checkpoint(tmp_path, "sam3")
    assert sorted(p.name for p in again.iterdir()) == sorted(p.name for p in sam3.iterdir())
    for path in sam3.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_making_one_leaves_random_numbers_and_threads_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    make_checkpoint(tmp_path, "edgetam", size=64)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 1


# --- what is refused -----------------------------------------------------------------------------


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere") == (
        "There is no folder “nowhere” where MODEL_ID says: set it to a folder with a checkpoint, "
        "or to a model's id at Hugging Face such as facebook/sam3."
    )


def test_a_folder_without_a_checkpoint(tmp_path: Path) -> None:
    assert "no config.json" in refused(tmp_path)


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "sam3.pt").touch()
    assert refused(tmp_path / "sam3.pt").startswith("“sam3.pt” is a file: MODEL_ID is the folder")


@pytest.mark.parametrize("kind", ["sam2", "bert", "sam3_lite_text", ""])
def test_a_model_of_another_kind(copy: Path, kind: str) -> None:
    change_config(copy, model_type=kind)
    sentence = refused(copy)
    assert f"of the kind “{kind}”" in sentence
    assert "sam3_video, sam3_tracker_video, sam2_video, edgetam_video" in sentence


def test_a_damaged_configuration(copy: Path) -> None:
    (copy / "config.json").write_text("{", encoding="utf-8")
    assert "can't be read" in refused(copy)


def test_no_weights_and_damaged_weights(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    assert "incomplete, damaged" in refused(copy)
    weights.unlink()
    assert "incomplete, damaged" in refused(copy)


def test_weights_of_another_model(copy: Path, sam3: Path) -> None:
    shutil.copy(sam3 / "model.safetensors", copy / "model.safetensors")
    assert refused(copy).startswith("The weights of “copy” are incomplete")


def test_no_tokenizer(sam3: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sam3, tmp_path / "mute"))
    (folder / "tokenizer.json").unlink()
    assert refused(folder).startswith("The checkpoint “mute” has no tokenizer")


def test_a_tokenizer_that_is_broken_or_of_another_model(sam3: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sam3, tmp_path / "mute"))
    known = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    known["model"]["vocab"]["somebody's"] = 514
    (folder / "tokenizer.json").write_text(json.dumps(known), encoding="utf-8")
    assert refused(folder).startswith("The tokenizer of “mute” knows 515 tokens, its weights 514")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert "has no tokenizer" in refused(folder)


def test_a_hub_id_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert "Hugging Face can't be reached" in refused("somebody/some-model-of-theirs")


def http_error(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "a long text about /tmp/secret")
    return error


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (hub.GatedRepoError, "accept its licence"),
        (hub.RepositoryNotFoundError, "neither a folder on this server nor a model at Hugging Face"),
        (hub.LocalEntryNotFoundError, "can't be reached"),
        (hub.HfHubHTTPError, "can't be reached"),
        (httpx.ConnectTimeout, "can't be reached"),
        (ConnectionError, "can't be reached"),
        (ValueError, "incomplete, damaged or of a newer version"),
    ],
)
def test_what_the_hub_raises_becomes_a_sentence(kind: type[Exception], said: str) -> None:
    outer = OSError("wrapped")
    outer.__cause__ = http_error(kind)
    error = checkpoints.explain(outer, "facebook/sam3")
    assert error.code == "engine_unavailable"
    assert said in error.sentence
    assert "facebook/sam3" in error.sentence
    assert "secret" not in error.sentence


def test_a_missing_package_is_named(sam2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    package: Any = transformers

    def fail(*_: object, **__: object) -> None:
        raise ImportError("No module named 'timm'", name="timm")

    monkeypatch.setattr(package.Sam2VideoModel, "from_pretrained", fail)
    assert refused(sam2) == "“my-sam2” needs a package that is not installed: timm."


class Broken:
    """A package whose modules can't be read."""

    __version__ = "4.1"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> object:
        raise self._error


def test_packages_that_are_too_old_or_do_not_fit(sam2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", Broken(AttributeError("no such model")))
    assert refused(sam2) == "transformers 4.1 is too old for SAM 3: pip install '.[transformers]'."
    monkeypatch.setitem(sys.modules, "transformers", Broken(RuntimeError("operator torchvision::nms does not exist")))
    assert "don't fit together" in refused(sam2)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert refused(sam2) == "The package transformers can't be imported: pip install '.[transformers]'."


# --- devices -------------------------------------------------------------------------------------


def test_a_device_that_is_not_there(sam2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert refused(sam2, "cuda").startswith("No NVIDIA GPU can be used here")
    assert refused(sam2, "mps").startswith("No Apple GPU can be used here")
    assert devices.choose("auto").type == "cpu"
    assert devices.numbers(torch.device("cpu")) == torch.float32


def test_auto_takes_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.choose("auto").type == "mps"
    assert devices.name(torch.device("mps")) == "Apple GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.choose("auto").type == "cuda"
    assert devices.choose("cuda:1").index == 1
    for emulated, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, e=emulated: e)
        assert devices.numbers(torch.device("cuda")) == expected
    assert devices.numbers(torch.device("mps")) == torch.float32


def test_mps_is_marked_as_untested() -> None:
    def note_on(kind: str) -> str:
        network: Any = SimpleNamespace(device=torch.device(kind))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(devices, "name", lambda device: kind)
            return TransformersModel(network, None, "SAM 3", "mine", exemplars=False).note

    assert note_on("mps") == "Nobody has tested this engine on Apple's GPUs yet."
    assert note_on("cpu") == note_on("cuda") == ""


# --- pictures and masks --------------------------------------------------------------------------


def test_the_checkpoint_says_how_colours_are_scaled(copy: Path) -> None:
    found = checkpoints.find(str(copy))
    assert checkpoints.colours(found) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    (copy / "preprocessor_config.json").unlink()
    assert checkpoints.colours(found) == (found.family.mean, found.family.std)
    nested = {"image_processor": {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]}}
    (copy / "processor_config.json").write_text(json.dumps(nested), encoding="utf-8")
    assert checkpoints.colours(found) == ((0.1, 0.2, 0.3), (1, 1, 1))


def test_pixels_are_scaled_as_the_model_was_trained() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[..., 0], picture[..., 1] = 255, 51
    half = Pixels(28, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).tensor(picture, torch.device("cpu"), torch.float32)
    assert half.shape == (1, 3, 28, 28)
    assert half[0, :, 14, 14].tolist() == pytest.approx([1, 51 / 127.5 - 1, -1])
    other = Pixels(28, (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)).tensor(picture, torch.device("cpu"), torch.float32)
    assert other[0, :, 14, 14].tolist() == pytest.approx([1.8, 0, -0.15], abs=1e-6)


def test_masks_to_the_square_and_back() -> None:
    mask = np.zeros((90, 160), np.bool_)
    mask[30:60, 40:120] = True
    soft = reduced(mask, 32)
    assert soft.shape == (32, 32)
    assert 0 <= soft.min() <= soft.max() <= 1
    assert soft.mean() == pytest.approx(mask.mean(), abs=0.005)
    back = drawn(torch.from_numpy(soft - 0.5), (90, 160))
    assert (back & mask).sum() / (back | mask).sum() > 0.95
    assert squared(mask, 200).shape == (200, 200)
    assert not squared(np.zeros((90, 160), np.bool_), 32).any()
    speck = np.zeros((900, 1600), np.bool_)
    speck[450, 800] = True
    assert squared(speck, 32).sum() == 1


# --- exemplars -----------------------------------------------------------------------------------


def pooled(maps: Any, boxes: Any, size: int) -> Any:
    """What torchvision's roi_align does, nearly: the average of a box's cells."""
    out = []
    for each, of_it in zip(maps, boxes, strict=True):
        for x0, y0, x1, y1 in of_it.tolist():
            part = each[:, int(y0) : max(int(y1), int(y0) + 1), int(x0) : max(int(x1), int(x0) + 1)]
            out.append(torch.nn.functional.adaptive_avg_pool2d(part, size))
    return torch.stack(out)


def test_exemplars_reach_the_detector(sam3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchvision a stand-in pools the boxes: all but that one step is the package's own."""
    from transformers.models.sam3 import modeling_sam3 as module

    seen: list[list[float]] = []

    def roi_align(maps: Any, boxes: Any, size: int) -> Any:
        seen.extend(b for each in boxes for b in each.tolist())
        return pooled(maps, boxes, size)

    stand_in = SimpleNamespace(ops=SimpleNamespace(roi_align=roi_align))
    monkeypatch.setattr(module, "torchvision", stand_in, raising=False)
    model: SamModel = load(str(sam3), "cpu", lambda stage: None)
    features = model.encode(pictures(2)[0])
    like = Box((0.25, 0.5, 0.5, 0.25), exemplar=True)
    unlike = Box((0.0, 0.0, 0.25, 0.25), label=False)
    answers = [
        model.detect(features, (90, 160), text, boxes)
        for text, boxes in (("dog", []), ("dog", [like]), ("dog", [like, unlike]), ("", [like]))
    ]
    assert len({tuple((f.mask.tobytes(), f.score) for f in a) for a in answers}) == 4
    # The coarsest map that the detector looks at has 8 × 8 cells.
    assert seen[0] == pytest.approx([2, 4, 6, 6])
