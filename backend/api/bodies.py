"""What clients send: the contract's request bodies, for checking and for the OpenAPI document."""

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
