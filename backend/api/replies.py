"""What is answered: the contract's reply bodies, for the OpenAPI document and so that nothing else is sent."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class Health(BaseModel):
    status: Literal["healthy"]
    timestamp: str
    uptime_seconds: float
    gpu_available: bool
    gpu_count: int
    active_sessions: int
    video_model_enabled: bool
    engine: str
    version: str


class Ready(BaseModel):
    status: Literal["ready"]


class NotReady(BaseModel):
    detail: str = Field(description="one sentence: what it is loading, or why it can't")
    code: str
    status: Literal["loading", "failed"]


class EngineCapabilities(BaseModel):
    text: bool
    points: bool
    box: bool
    mask: bool
    exemplar: bool
    backward: bool
    multi_concept: bool
    features: bool
    words: list[str] = Field(description="the only nouns it knows; empty: any words")
    filters: list[str] = Field(description="words that may stand beside one of `words`, like colours")


class EngineModel(BaseModel):
    name: str
    title: str
    loaded: bool
    state: str
    stage: str
    checkpoint: str | None
    devices: list[str]
    gpu_ids: list[int]
    memory_mb: float
    capabilities: EngineCapabilities | None
    note: str


class Models(BaseModel):
    models: list[EngineModel]
    server_version: str
    sam3_version: str | None


class ExportFormatReply(BaseModel):
    name: str
    title: str
    extension: str
    media_type: str
    description: str


class Config(BaseModel):
    version: str
    max_upload_size_mb: int
    max_video_seconds: float
    sample: str | None
    export_formats: list[ExportFormatReply]


class Resolution(BaseModel):
    width: int
    height: int


class VideoInfo(BaseModel):
    total_frames: int
    fps: float
    fps_fraction: str
    fps_assumed: bool
    resolution: Resolution
    duration_seconds: float
    name: str
    kind: str


class Uploaded(BaseModel):
    video_id: str
    video_info: VideoInfo


class Started(BaseModel):
    session_id: str
    video_info: VideoInfo
    status: str


class Prompted(BaseModel):
    frame_index: int
    obj_id: int | None
    obj_ids: list[int]
    masks: list[str]
    boxes: list[list[float] | None]
    scores: list[float]
    size: list[int]
    status: str
    message: str | None


class ObjectOnFrame(BaseModel):
    id: int
    mask: str
    box: list[float] | None
    score: float


class Frame(BaseModel):
    frame_index: int
    objects: list[ObjectOnFrame]


class Propagated(BaseModel):
    session_id: str
    results: dict[str, Frame]
    total_frames: int
    processing_time_ms: float
    size: list[int]
    status: str
    error: str | None = None
    code: str | None = None


class Results(BaseModel):
    results: dict[str, Frame]
    stale: dict[str, list[list[int]]]
    size: list[int]


class ProblemReply(BaseModel):
    frame_index: int = Field(description="the first frame of the stretch")
    last_frame_index: int = Field(description="the last one; two stretches of a kind are more than eight frames apart")
    obj_id: int
    kind: Literal["score_drop", "area_jump", "vanished", "swap"]
    detail: str = Field(description="a sentence for a person")


class Problems(BaseModel):
    problems: list[ProblemReply] = Field(description="by frame; the first thousand")
    total: int


class ObjectReply(BaseModel):
    id: int
    name: str
    label: str
    color: str


class ObjectStatus(ObjectReply):
    frames: list[list[int]]
    computed: list[list[int]]
    known: list[list[int]] = Field(
        description="computed, or looked for there by the propagation that found it elsewhere"
    )
    stale: list[list[int]]
    approved: list[list[int]] = Field(description="frames that a person said are right: no propagation changes them")
    prompts: list[dict[str, Any]]
    score: float
    score_line: list[float | None] = Field(
        description="the lowest score in each of at most 48 equal parts of the video; null where there is no mask"
    )


class ConceptStatus(BaseModel):
    text: str
    frames: list[int] = Field(description="where it was asked for")
    obj_ids: list[int] = Field(description="what it found, and nothing else has touched since")


class RunStatus(BaseModel):
    run_id: str
    state: str
    direction: str
    obj_ids: list[int]
    start_frame_index: int
    done: int
    total: int
    frame_index: int | None
    frames_per_second: float
    error: str | None
    code: str | None
    resumable: bool = Field(description="whether a propagate with `resume` goes on with it")


class Status(BaseModel):
    session_id: str
    status: str
    current_objects: list[int]
    objects: list[ObjectStatus]
    concepts: list[ConceptStatus]
    frames_processed: int
    total_frames: int
    gpu_memory_used_mb: float
    engine: str
    expires_at: str
    queue_position: int | None
    video_info: VideoInfo
    can_undo: bool
    can_redo: bool
    run: RunStatus | None


class Stepped(BaseModel):
    session_id: str
    status: str
    obj_ids: list[int]
    undone: dict[str, Any] | None = None
    redone: dict[str, Any] | None = None


class Approved(Stepped):
    obj_id: int
    approved: list[list[int]] = Field(description="all approved frames of the object, as [from, to], ends inclusive")


class Split(Stepped):
    obj_id: int
    new_obj_id: int
    frames: list[list[int]] = Field(description="on which both were written")
    objects: list[ObjectReply] = Field(description="all that there are")


class Merged(Stepped):
    obj_id: int
    removed: int | None = Field(description="the other object, if it is gone")
    frames: list[list[int]] = Field(description="that were written")
    objects: list[ObjectReply] = Field(description="all that there are")


class Cancelled(BaseModel):
    session_id: str
    status: str


class Removed(BaseModel):
    session_id: str
    obj_id: int
    status: str


class WasReset(BaseModel):
    session_id: str
    status: str
    objects_cleared: int


class Closed(BaseModel):
    session_id: str
    status: str
    memory_freed_mb: float


class Label(BaseModel):
    label: str
    color: str
    objects: int = Field(description="how many have it, over all sessions")


class Labels(BaseModel):
    labels: list[Label] = Field(description="most used first")


class LabelRemoved(BaseModel):
    label: str
    status: str


class ListedRun(BaseModel):
    run_id: str
    state: str
    done: int
    total: int
    frame_index: int | None = Field(description="the last frame that it went over")
    resumable: bool = Field(description="whether a propagate with `resume` goes on with it")


class ListedSession(BaseModel):
    session_id: str
    type: Literal["video"]
    created_at: str
    changed_at: str = Field(description="when it was last edited; created_at where it never was")
    status: str
    objects_count: int
    name: str
    video_info: VideoInfo
    memory_mb: float = Field(description="engine memory that it holds now")
    disk_mb: float = Field(description="its results, and a video that was stored for it alone")
    run: ListedRun | None = Field(description="the propagation that goes on, or was the last")


class Sessions(BaseModel):
    sessions: list[ListedSession]
    total_sessions: int


class Log(BaseModel):
    edits: list[dict[str, Any]]


class Timestamps(BaseModel):
    timestamps: list[float]


class Segmented(BaseModel):
    masks: list[str]
    boxes: list[list[float] | None]
    scores: list[float]
    num_masks: int
    size: list[int]
    image_size: Resolution
    visualization_url: str | None
    inference_time_ms: float


class BatchResult(BaseModel):
    id: str | int
    masks: list[str] | None = None
    boxes: list[list[float] | None] | None = None
    scores: list[float] | None = None
    num_masks: int | None = None
    size: list[int] | None = None
    image_size: Resolution | None = None
    inference_time_ms: float | None = None
    error: str | None = None
    code: str | None = None


class Batch(BaseModel):
    results: list[BatchResult]
    total_images: int
    successful: int
    failed: int


class TextResult(BaseModel):
    prompt: str
    masks: list[str]
    boxes: list[list[float] | None]
    scores: list[float]
    num_masks: int


class CachedFeatures(BaseModel):
    results: list[TextResult]
    cache_hit: bool = Field(description="the features were in the cache before this call")
    cache: Literal["on", "off", "none"] = Field(description="none: this engine has no encoder whose work is kept")
    size: list[int]
    image_size: Resolution
    inference_time_ms: float


class ErrorReply(BaseModel):
    detail: str = Field(description="one sentence a person can act on")
    code: str = Field(description="a stable snake_case word")


_RETRY = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "seconds", "required": True}}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": text} | ({"headers": _RETRY} if status == 429 else {})
    for status, text in {
        400: "the input is not what it claims to be",
        401: "no valid key",
        404: "unknown, or not yours",
        409: "busy, closed, taken, or nothing to undo",
        413: "too large",
        422: "malformed, or out of range",
        429: "too many; see Retry-After",
        501: "this engine can't do that",
        503: "no engine, or it failed",
        507: "the disk is full",
    }.items()
}

KEYED: dict[int | str, dict[str, Any]] = {401: ERRORS[401]}
"""What routes answer that only tell about the server."""
