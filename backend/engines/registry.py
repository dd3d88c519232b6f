"""Which engines there are, which one a server uses, and why.

An `EngineSpec` is a small value that crosses into the worker process and is built there, so that
the web process never imports a model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from backend.engines import layout
from backend.engines.base import Engine
from backend.engines.devices import Gpu
from backend.errors import EngineError
from backend.settings import Settings

log = logging.getLogger(__name__)

TITLES = {"sam3": "SAM 3 (Meta's package)", "transformers": "transformers", "lite": "Lite", "fake": "the stand-in"}
NATIVE_RESOLUTION = 1008


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine to be built.

    Attributes:
        name: "sam3", "transformers", "lite" or "fake".
        cache_dir: where it may keep what can be made again.
        device: "cpu", or what the model's package is told.
        gpus: which of the machine's GPUs its process may use; several work together.
        checkpoint: weights; None: the engine's own default.
        bpe_path: the text vocabulary of `sam3`.
        compiled: compile the model.
        temporal_disambiguation: see VIDEO_MODEL_TEMPORAL_DISAMBIGUATION.
        cache_bytes: what features of still images may hold.
        cache_seconds: how long they stay.
        reason: why this engine, in a sentence for the page.
        fallback: what is used where this one can't be loaded; None: nothing.
    """

    name: str
    cache_dir: Path
    device: str = "cpu"
    step_seconds: float = 0.0
    gpus: tuple[int, ...] = ()
    checkpoint: str | None = None
    bpe_path: Path | None = None
    compiled: bool = False
    temporal_disambiguation: bool = True
    cache_bytes: int = 0
    cache_seconds: float = 600.0
    reason: str = ""
    fallback: EngineSpec | None = None

    @property
    def title(self) -> str:
        """The engine as people call it before it is loaded."""
        return TITLES.get(self.name, self.name)


def choose(settings: Settings, found: Sequence[Gpu] = ()) -> list[EngineSpec]:
    """The engines that the settings ask for, one for each worker; "auto" is the best this server can have.

    What is chosen may still fail to load; then its `fallback` is used.

    Args:
        settings: what is asked for.
        found: the GPUs there are.

    Raises:
        EngineError: what is asked for is not installed, and VIDEO_MODEL_REQUIRED is set.
        InvalidInput: VIDEO_MODEL_GPUS names a GPU that isn't there.
    """
    if settings.image_model_resolution != NATIVE_RESOLUTION:
        log.warning("IMAGE_MODEL_RESOLUTION=%s is not used.", settings.image_model_resolution)
    if settings.engine in ("lite", "fake"):
        return [_plain(settings, settings.engine, "")] * (settings.fake_workers if settings.engine == "fake" else 1)
    wanted = ("sam3", "transformers") if settings.engine == "auto" else (settings.engine,)
    lacking = {name: _lacks(name, settings, found) for name in wanted}
    usable = [name for name in wanted if not lacking[name]]
    why = " ".join(f"{TITLES[name][:1].upper()}{TITLES[name][1:]} {lack}." for name, lack in lacking.items() if lack)
    if not usable:
        if settings.video_model_required:
            raise EngineError(why, "engine_unavailable")
        if settings.engine != "auto":
            log.warning("%s Lite is used instead.", why)
        return [_plain(settings, "lite", why)]
    spec = None if settings.video_model_required else _plain(settings, "lite", "")
    for name in reversed(usable):
        spec = _model(settings, name, spec, "" if name == wanted[0] else why)
    assert spec is not None
    places = layout.groups(settings.video_model_gpus, [gpu.index for gpu in found])
    # Only Meta's package works on one session with several GPUs.
    if spec.name == "transformers":
        places = tuple((index,) for place in places for index in place)
    if not places or spec.device in ("cpu", "mps"):
        return [spec]
    return [replace(spec, gpus=place) for place in places]


def _lacks(name: str, settings: Settings, found: Sequence[Gpu]) -> str:
    """What keeps an engine from being used here, as the end of a sentence; "" where nothing does."""
    missing = next((package for package in ("torch", name) if find_spec(package) is None), None)
    if missing:
        return f"needs the package {missing} (pip install '.[{name}]')"
    if name == "sam3" and not found:
        return "needs an NVIDIA GPU"
    if name == "transformers" and settings.engine == "auto" and not found and not settings.model_id:
        # SAM 3 at its full size takes over a minute a frame on a CPU: only for those who ask for it.
        return "is not used without a GPU unless MODEL_ID or ENGINE asks for it"
    return ""


def _plain(settings: Settings, name: str, reason: str) -> EngineSpec:
    return EngineSpec(name, settings.cache, step_seconds=settings.fake_step_seconds, reason=reason)


def _model(settings: Settings, name: str, fallback: EngineSpec | None, reason: str) -> EngineSpec:
    device = "cuda" if name == "sam3" else settings.image_model_device.partition(":")[0]
    return EngineSpec(
        name,
        settings.cache,
        device=device,
        checkpoint=settings.sam3_checkpoint if name == "sam3" else settings.model_id,
        bpe_path=settings.sam3_bpe_path,
        compiled=settings.video_model_compile,
        temporal_disambiguation=settings.video_model_temporal_disambiguation,
        cache_bytes=settings.max_cache_size_mb * 1_000_000 if settings.enable_feature_cache else 0,
        cache_seconds=settings.feature_cache_ttl_seconds,
        reason=reason,
        fallback=fallback,
    )


def build(spec: EngineSpec, report: Callable[[str], None] = lambda stage: None) -> Engine:
    """Build an engine, in the process and thread that will use it.

    Args:
        spec: which one.
        report: told in a few words what is going on, for people who wait.

    Raises:
        EngineError: there is no engine of that name, or it can't be loaded.
    """
    if spec.name == "lite":
        return _lite(spec)
    if spec.name == "fake":
        from backend.engines.fake import FakeEngine

        return FakeEngine(spec.step_seconds)
    if spec.name in ("sam3", "transformers"):
        from backend.engines.sam.load import load

        return load(spec, report)
    raise EngineError(f"There is no engine called “{spec.name}”.", "unknown_engine")


def _lite(spec: EngineSpec) -> Engine:
    try:
        from backend.engines.lite.engine import LiteEngine

        return LiteEngine(spec.cache_dir, spec.reason)
    except ModuleNotFoundError as error:
        install = "pip install -c constraints.txt ."
        raise EngineError(f"Lite needs the package {error.name} ({install}).", "engine_unavailable") from error
