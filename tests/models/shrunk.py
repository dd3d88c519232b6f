"""Meta's `sam3`, small enough and changed as little as needed to run on a CPU.

`install()` waits for the package to be imported; nothing heavy happens before. Then:

- its builder makes a small model (112 pixels, a few layers) with random weights, the same each time;
- what says "cuda" means the CPU, and bfloat16 means float32;
- torchvision, whose compiled part does not fit a plain CPU build of torch, gets the names of its
  operators; triton, which only a GPU needs, gets an empty stand-in;
- detections count whatever their score, since random weights are never sure of anything.

All else is the package's own: its state, shapes, types and exceptions. Nothing here says anything
about the quality of masks, the memory of a GPU, or loading weights.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

HOOK = Path(__file__).parent / "hook"
"""The folder that makes a new Python process do the same; see `environment`."""
SIDE = 112
MOST_OBJECTS = 4
DEVICE_NAME = "CPU, shrunk"
GPUS = "SAM3_SHRUNK_GPUS"
"""The environment variable that says how many GPUs to pretend; 1 unless it is set."""

REAL = "GPU_CHECK"
"""The environment variable of `make gpu-check`, which leaves the package as it is for the tests that want a GPU."""

_PATCH = SIDE // 14
_SMALLER = (
    ("interpol_size=[1152, 1152]", f"interpol_size=[{16 * _PATCH}, {16 * _PATCH}]"),
    ("feat_sizes=[72, 72]", f"feat_sizes=[{_PATCH}, {_PATCH}]"),
    ("1008", str(SIDE)),
    (
        "embed_dim=1024,\n        depth=32,\n        num_heads=16",
        "embed_dim=128,\n        depth=2,\n        num_heads=4",
    ),
    ("global_att_blocks=(7, 15, 23, 31)", "global_att_blocks=(1,)"),
    ("window_size=24", f"window_size={_PATCH // 2}"),
    ("width=1024,\n        heads=16,\n        layers=24", "width=128,\n        heads=4,\n        layers=1"),
    (
        "num_layers=6,\n        d_model=256,\n        num_feature_levels",
        "num_layers=1,\n        d_model=256,\n        num_feature_levels",
    ),
    ("num_layers=6,\n        num_queries=200", "num_layers=1,\n        num_queries=8"),
    ("num_layers=4,\n        use_act_checkpoint=False", "num_layers=1,\n        use_act_checkpoint=False"),
    # Asks a GPU for its generation.
    ("\n_setup_tf32()\n", "\n"),
)


def installed() -> bool:
    """Whether the package is here to be tested."""
    return importlib.util.find_spec("sam3") is not None


def install() -> None:
    """From now on in this process, importing `sam3` gives the shrunk package. Idempotent."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        if any(name in sys.modules for name in _PREPARED):
            _prepare()


def real() -> bool:
    """Whether the package is to be tested as it is, on a real GPU."""
    return bool(os.environ.get(REAL))


def environment(gpus: int = 1) -> dict[str, str]:
    """What a new Python process needs in its environment for the same."""
    paths = [str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), GPUS: str(gpus), "OMP_NUM_THREADS": "1"}


@functools.cache
def shrunk_model() -> Any:
    """The adapter's `SamModel` over the shrunk package; loaded once a process."""
    install()
    from backend.engines.sam3 import Sam3Options, load

    with quietly():
        return load(Sam3Options(), lambda stage: None)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Load without warnings: the package uses what torch calls outdated, which is not for us to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- the import hook -------------------------------------------------------------------------


class _Finder(importlib.abc.MetaPathFinder):
    """Finds a few modules where they are, and changes them on their way in."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _AFTER and name != "sam3.model_builder":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: types.ModuleType) -> None:
        if module.__name__ in _PREPARED:
            _prepare()
        super().exec_module(module)
        _AFTER.get(module.__name__, lambda module: None)(module)

    def get_code(self, fullname: str) -> types.CodeType | None:
        if fullname != "sam3.model_builder":
            return super().get_code(fullname)
        # Never from the cache of compiled files, nor into it.
        source = Path(self.path).read_text()
        for large, small in _SMALLER:
            if large not in source:
                raise ImportError(f"this sam3 is built otherwise: {large!r} is not in its builder")
            source = source.replace(large, small)
        return compile(source, self.path, "exec")


def _no_download(module: Any) -> None:
    module.download_ckpt_from_hf = lambda: None


def _quick_components(module: Any) -> None:
    """The package's CPU version takes time for each component, and fails where there is no mask."""
    import cv2
    import numpy as np
    import torch

    def connected_components_cpu(masks: Any) -> tuple[Any, Any]:
        flat = masks.reshape(-1, *masks.shape[-2:]).cpu().numpy().astype(np.uint8)
        labels = np.zeros(flat.shape, np.int64)
        sizes = np.zeros(flat.shape, np.int64)
        for row, mask in enumerate(flat):
            _, labels[row], about, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            sizes[row] = np.where(mask, about[:, cv2.CC_STAT_AREA][labels[row]], 0)
        return torch.tensor(labels).view(masks.shape), torch.tensor(sizes).view(masks.shape)

    module.connected_components_cpu = connected_components_cpu


def _unsure(module: Any) -> None:
    """Random weights that don't depend on what was done before, and thresholds that let them through."""
    import torch

    build = module.Sam3VideoPredictor.__init__

    @functools.wraps(build)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        with _reproducible():
            build(self, *args, **kwargs)
        self.model.score_threshold_detection = 0.0
        self.model.new_det_thresh = 0.0
        self.model.det_nms_thresh = 0.6
        self.model.max_num_objects = MOST_OBJECTS
        with torch.no_grad():
            # Objects are mostly there; otherwise nearly every mask would be empty.
            self.model.tracker.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += 1.0

    module.Sam3VideoPredictor.__init__ = __init__


def _pretended_gpus(module: Any) -> None:
    count = int(os.environ.get(GPUS, "1"))
    found = tuple(module.Gpu(index, DEVICE_NAME, 1000.0, 0.0) for index in range(count))
    module.gpus = lambda: found


_PREPARED = ("sam3", "backend.engines.sam3.load")
"""Before these, the process becomes one that can pretend; the second asks whether there is a GPU."""

_AFTER: dict[str, Callable[[Any], None]] = {
    **dict.fromkeys(_PREPARED, lambda module: None),
    "sam3.model_builder": _no_download,
    "sam3.model.sam3_video_predictor": _unsure,
    "sam3.perflib.connected_components": _quick_components,
    "backend.engines.devices": _pretended_gpus,
}


# --- what the package needs around it --------------------------------------------------------


@functools.cache
def _prepare() -> None:
    _torchvision()
    _triton()
    _cuda()


_kept: list[Any] = []

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width,"
    " int sampling_ratio, bool aligned) -> Tensor",
    "_roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width,"
    " SymInt batch_size, SymInt channels, SymInt height, SymInt width, int sampling_ratio, bool aligned) -> Tensor",
    "roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width)"
    " -> (Tensor, Tensor)",
    "_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, float spatial_scale, SymInt pooled_height,"
    " SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width) -> Tensor",
    "ps_roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width,"
    " int sampling_ratio) -> (Tensor, Tensor)",
    "_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale,"
    " SymInt pooled_height, SymInt pooled_width, int sampling_ratio, SymInt batch_size, SymInt channels,"
    " SymInt height, SymInt width) -> Tensor",
    "ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width)"
    " -> (Tensor, Tensor)",
    "_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale,"
    " SymInt pooled_height, SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width)"
    " -> Tensor",
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h,"
    " SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups,"
    " SymInt offset_groups, bool use_mask) -> Tensor",
    "_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias,"
    " SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w,"
    " SymInt groups, SymInt offset_groups, bool use_mask) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def _torchvision() -> None:
    """Let `import torchvision` work beside a torch that its compiled operators were not made for."""
    import torch

    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    # The first two also exist for quantised tensors.
    for operator in (*_OPERATORS, *("q" + operator for operator in _OPERATORS[:2])):
        library.define(operator)
    _kept.append(library)
    import torchvision.ops

    module = sys.modules["torchvision.ops.roi_align"]
    # The package's own Python version, which is there for other devices.
    plain = inspect.unwrap(module._roi_align)

    def roi_align(
        input: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0, sampling_ratio: int = -1,
        aligned: bool = False,
    ) -> Any:  # fmt: skip
        if not isinstance(boxes, torch.Tensor):
            boxes = torchvision.ops._utils.convert_boxes_to_roi_format(boxes)
        height, width = (output_size, output_size) if isinstance(output_size, int) else output_size
        return plain(input, boxes, spatial_scale, height, width, sampling_ratio, aligned)

    module.roi_align = roi_align
    torchvision.ops.roi_align = roi_align


def _triton() -> None:
    if importlib.util.find_spec("triton") is not None:
        return
    triton, language = types.ModuleType("triton"), types.ModuleType("triton.language")
    for module in (triton, language):
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        module.__path__ = []
    parts: Any = triton
    parts.jit = lambda function=None, **_: function if function is not None else (lambda f: f)
    parts.autotune = lambda *_, **__: lambda function: function
    parts.Config = lambda *_, **__: None
    parts.cdiv = lambda a, b: -(-a // b)
    parts.language = language
    language.constexpr = int  # type: ignore[attr-defined]
    sys.modules["triton"], sys.modules["triton.language"] = triton, language


def _cuda() -> None:
    """What says "cuda" means the CPU, in this thread: the one that imports, builds and calls the package."""
    import torch
    from torch.overrides import TorchFunctionMode

    count = int(os.environ.get(GPUS, "1"))
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: count
    torch.cuda.get_device_name = lambda device=None: DEVICE_NAME
    torch.cuda.empty_cache = lambda: None

    here = {torch.Tensor.cuda, torch.Tensor.pin_memory}

    def moved(value: Any) -> Any:
        if value is torch.bfloat16:
            return torch.float32
        if (isinstance(value, str) and value.startswith("cuda")) or (
            isinstance(value, torch.device) and value.type == "cuda"
        ):
            return torch.device("cpu")
        return value

    class OnCpu(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            if function in here:
                return args[0]
            return function(*map(moved, args), **{k: moved(v) for k, v in (kwargs or {}).items()})

    mode = OnCpu()
    mode.__enter__()
    _kept.append(mode)

    class Autocast(torch.autocast):
        def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, **kwargs: Any) -> None:
            super().__init__("cpu", dtype=torch.bfloat16, enabled=enabled and device_type != "cuda", **kwargs)

    torch.autocast = torch.amp.autocast = Autocast  # type: ignore[misc]


@contextlib.contextmanager
def _reproducible() -> Iterator[None]:
    """The same random weights each time, and none that the builder leaves as they lie in memory."""
    import torch

    empty = torch.empty

    def filled(*args: Any, **kwargs: Any) -> Any:
        tensor = empty(*args, **kwargs)
        return tensor.normal_(0, 0.02) if tensor.is_floating_point() and not tensor.is_meta else tensor

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.empty = filled
        try:
            yield
        finally:
            torch.empty = empty
