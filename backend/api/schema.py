"""The request and reply bodies of the contract, for checking and for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from backend.domain import MAX_NAME, MAX_TEXT
from backend.sessions.planning import PropagateRequest


def _no_lookalike(value: Any) -> Any:
    """JSON knows numbers from texts and truth values; 3.0 is as whole as 3."""
    if isinstance(value, str | bool):
        raise ValueError("a number is needed here")
    return value


Whole = Annotated[int, BeforeValidator(_no_lookalike)]
Number = Annotated[float, BeforeValidator(_no_lookalike)]
Flag = Annotated[bool, Field(strict=True)]
Id = str | Annotated[int, Field(strict=True)]
Unit = Annotated[Number, Field(json_schema_extra={"minimum": 0, "maximum": 1})]
"""A normalised coordinate."""

# What the domain checks, with codes of its own, is only told here.
WORDS: dict[str, Any] = {"minLength": 1, "maxLength": MAX_TEXT, "pattern": r"\S"}
FRAME: dict[str, Any] = {"minimum": 0}
NAME: dict[str, Any] = {"maxLength": MAX_NAME}
THRESHOLD: dict[str, Any] = {"minimum": 0, "maximum": 1}
RATE: dict[str, Any] = {"minimum": 0.01, "maximum": 1000}
FORM_RATE = WithJsonSchema({"type": "number", **RATE})
"""A form has no null: a field that isn't sent isn't there."""
PAIR = Field(json_schema_extra={"minItems": 2, "maxItems": 2})


class Body(BaseModel):
    model_config = ConfigDict(allow_inf_nan=True, str_max_length=400_000_000)


class TextItem(Body):
    type: Literal["text"]
    text: str = Field(description="what to find", examples=["person in red shirt"], json_schema_extra=WORDS)


class PointItem(Body):
    type: Literal["point"]
    points: list[Annotated[list[Unit], PAIR]] = Field(
        description="[x, y] each, normalised to [0, 1]", examples=[[[0.4, 0.5]]], json_schema_extra={"minItems": 1}
    )
    point_labels: list[Annotated[Whole, Field(json_schema_extra={"enum": [0, 1]})]] = Field(
        description="1: on the object, 0: not on it; one for each point", examples=[[1]]
    )
    replace: Flag = Field(default=False, description="replace the object's earlier points on this frame")


class BoxItem(Body):
    type: Literal["box"]
    box: list[Unit] = Field(
        description="[x, y, w, h], normalised, top-left corner first",
        examples=[[0.1, 0.1, 0.3, 0.4]],
        json_schema_extra={"minItems": 4, "maxItems": 4},
    )
    label: Flag = Field(default=True, description="false: a negative exemplar")
    exemplar: Flag = Field(default=False, description="all objects like the one in the box")


class MaskItem(Body):
    type: Literal["mask"]
    mask: str = Field(description="COCO compressed RLE counts at the video's size")
    mode: Literal["replace", "add", "subtract"] = "replace"


PromptItem = Annotated[TextItem | PointItem | BoxItem | MaskItem, Field(discriminator="type")]


class StartBody(Body):
    video_id: str | None = Field(default=None, description="of an upload")
    video_path: str | None = Field(default=None, description="a file or folder under the server's VIDEO_ROOTS")
    video_base64: str | None = Field(default=None, description="the file itself, with or without a data-URL head")
    video_url: str | None = Field(default=None, description="where the server allows it")
    session_id: str | None = Field(
        default=None,
        description="an id of your own: letters, digits, _ and -, up to 64",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]{1,64}$"},
    )
    gpu_ids: list[Whole] | None = None
    fps: Number | None = Field(
        default=None,
        description="for folders and zips of frames; else 30 is assumed",
        json_schema_extra=RATE,
    )


class ExportBody(Body):
    session_ids: list[str] = Field(min_length=1, max_length=1000, description="the sessions, in the file's order")
    options: dict[str, str] = Field(default_factory=dict, description="the format's, all but `objects`")


class PromptBody(Body):
    frame_index: Whole = Field(json_schema_extra=FRAME)
    prompts: list[PromptItem] = Field(min_length=1, max_length=256)
    obj_id: Whole | None = Field(default=None, description="null: a new object; a number: refine that one")


class PropagateBody(Body):
    direction: Literal["forward", "backward", "both"] = "both"
    start_frame_index: Whole | None = Field(
        default=None, description="default: the first prompted frame", json_schema_extra=FRAME
    )
    max_frames: Whole | None = Field(
        default=None, description="frames in each direction, the start included", json_schema_extra={"minimum": 1}
    )
    end_frame_index: Whole | None = Field(
        default=None, description="the far end, instead of max_frames", json_schema_extra=FRAME
    )
    obj_ids: list[Whole] | None = Field(default=None, description="only these objects")
    resume: Flag = Field(
        default=False,
        description="go on with the last propagation, which was cancelled, failed or interrupted; the rest is left out",
    )

    def request(self) -> PropagateRequest:
        ids = tuple(self.obj_ids) if self.obj_ids is not None else None
        start, end = self.start_frame_index, self.end_frame_index
        return PropagateRequest(self.direction, start, self.max_frames, end, ids, self.resume)


class ObjectBody(Body):
    name: str | None = Field(default=None, json_schema_extra=NAME | {"pattern": r"\S"})
    label: str | None = Field(default=None, description="the object's class", json_schema_extra=NAME)
    color: str | None = Field(default=None, description="#rrggbb", json_schema_extra={"pattern": "^#[0-9a-fA-F]{6}$"})


class ApproveBody(Body):
    start: Whole | None = Field(
        default=None, description="the first frame; default: the video's", json_schema_extra=FRAME
    )
    stop: Whole | None = Field(
        default=None, description="the last frame; default: the video's", json_schema_extra=FRAME
    )
    approved: Flag = Field(default=True, description="false: take it back")


class SplitBody(Body):
    frame_index: Whole = Field(json_schema_extra=FRAME)
    prompts: list[Annotated[PointItem | MaskItem, Field(discriminator="type")]] = Field(
        min_length=1,
        max_length=256,
        description="which part becomes an object: the pieces at positive points, or a mask",
    )
    start: Whole | None = Field(
        default=None,
        description="the first frame of those to split too; without start and stop: frame_index alone",
        json_schema_extra=FRAME,
    )
    stop: Whole | None = Field(default=None, description="the last of them", json_schema_extra=FRAME)


class MergeBody(Body):
    obj_id: Whole = Field(description="the other object, whose masks this one gets")
    start: Whole | None = Field(
        default=None,
        description="the first frame; without start and stop on all, and the other is gone afterwards",
        json_schema_extra=FRAME,
    )
    stop: Whole | None = Field(default=None, description="the last frame", json_schema_extra=FRAME)


class LabelBody(Body):
    label: str = Field(
        description="the class", examples=["dog"], json_schema_extra=NAME | {"minLength": 1, "pattern": r"\S"}
    )
    color: str = Field(
        description="#rrggbb; what objects get with the class from now on",
        examples=["#45B0FF"],
        json_schema_extra={"pattern": "^#[0-9a-fA-F]{6}$"},
    )


class ImageBody(Body):
    image: str = Field(description="base64, with or without a data-URL head")
    prompts: list[PromptItem] = Field(min_length=1, max_length=256)
    confidence_threshold: Number | None = Field(
        default=None, description="finds below it are dropped; default 0.5", json_schema_extra=THRESHOLD
    )
    return_visualization: Flag = False


class BatchItem(Body):
    id: Id
    image: str = Field(description="base64, with or without a data-URL head")
    prompts: list[dict[str, Any]] = Field(
        description="as of /image/segment; bad ones fail this image only",
        examples=[[{"type": "text", "text": "dog"}]],
        max_length=256,
    )


class BatchBody(Body):
    images: list[BatchItem] = Field(min_length=1, max_length=256)
    confidence_threshold: Number | None = Field(
        default=None, description="finds below it are dropped; default 0.5", json_schema_extra=THRESHOLD
    )
    max_concurrent: Whole = Field(default=4, ge=1, le=64, description="how many are worked on at once")


class FeaturesBody(Body):
    image: str = Field(description="base64, with or without a data-URL head")
    text_prompts: list[Annotated[str, Field(json_schema_extra=WORDS)]] = Field(
        min_length=1, max_length=64, description="each is looked for by itself"
    )
    confidence_threshold: Number | None = Field(
        default=None, description="finds below it are dropped; default 0.5", json_schema_extra=THRESHOLD
    )


class LoginBody(Body):
    api_key: str | None = None
    username: str | None = None
    password: str | None = None


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
    words: list[str] = Field(description="the only texts it knows; empty: any words")


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
    stale: list[list[int]]
    approved: list[list[int]] = Field(description="frames that a person said are right: no propagation changes them")
    prompts: list[dict[str, Any]]
    score: float


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
