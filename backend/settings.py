"""Settings: the only reader of the environment (and of `.env`)."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: where `assets/` lies."""

ON_SPACE = bool(os.environ.get("SPACE_ID"))
"""Whether this runs on Hugging Face Spaces, which sets the variable."""


def _text_list(value: Any, separator: str) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(separator) if part.strip()]
    return value


class Settings(BaseSettings):
    """One field for each variable; its description is the help that the README's table shows."""

    # What is wrong with a setting is said without its value: it may be a password.
    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, case_sensitive=False, hide_input_in_errors=True
    )

    # The server
    server_host: str = Field(default="0.0.0.0" if ON_SPACE else "127.0.0.1", description="address to listen on")
    server_port: int = Field(default=7860, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="how much is logged")
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default=[], description="origins that browsers may call from, by comma"
    )
    enable_metrics: bool = Field(default=True, description="serve /metrics")

    # Who may do what
    require_api_key: bool = Field(default=False, description="refuse requests without a key of API_KEYS")
    api_keys: Annotated[list[str], NoDecode] = Field(default=[], repr=False, description="the valid keys, by comma")
    page_logins: Annotated[list[str], NoDecode] = Field(
        default=[],
        repr=False,
        description="who may log in, as `user:password`, by comma; without a login nothing is served",
    )
    tenancy: Literal["single", "per-visitor"] = Field(
        default="per-visitor" if ON_SPACE else "single",
        description="without keys and logins: one owner of everything, or each browser its own",
    )
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default=[],
        description="names the server may be asked for by, by comma; default: any, but only this machine's own "
        "where it listens on a loopback address",
    )
    frame_ancestors: Annotated[list[str], NoDecode] = Field(
        default=["https://huggingface.co"] if ON_SPACE else [], description="origins that may embed the page, by comma"
    )
    trusted_proxies: int = Field(
        default=1 if ON_SPACE else 0,
        ge=0,
        description="proxies in front of the server whose `X-Forwarded-For` is believed",
    )
    rate_limit_enabled: bool = Field(default=ON_SPACE, description="limit how often a client may ask")
    rate_limit_requests_per_minute: int = Field(
        default=100, ge=1, description="what changes or computes something; reads get sixty times as many"
    )
    failed_logins_per_minute: int = Field(
        default=30, ge=1, description="wrong keys and passwords an address may send; always on"
    )
    max_sessions_per_owner: int = Field(
        default=50 if ON_SPACE else 1000, ge=0, description="sessions an owner may keep; 0: any number"
    )
    max_stored_mb_per_owner: int = Field(
        default=5000 if ON_SPACE else 100_000, ge=0, description="uploads an owner may keep, in MB; 0: any amount"
    )

    # Where things lie
    data_dir: Path = Field(default=Path("data"), description="everything the service writes")
    upload_dir: Path | None = Field(default=None, description="uploads; default: a folder in DATA_DIR")
    output_dir: Path | None = Field(default=None, description="exports; default: a folder in DATA_DIR")
    video_roots: Annotated[list[Path], NoDecode] = Field(
        default=[ROOT / "assets"], description="folders that video_path may name, by colon"
    )
    allow_video_url: bool = Field(default=False, description="let a session start from a video_url")
    video_url_timeout_seconds: float = Field(default=120, gt=0, description="longest download of a video_url")

    # Limits
    max_upload_size_mb: int = Field(default=100, ge=1, description="largest upload, in MB (10^6 bytes)")
    max_video_seconds: float = Field(default=1800, gt=0, description="longest video")
    max_video_frames: int = Field(default=60_000, ge=1, description="most frames a video may have")
    max_pixels: int = Field(default=4096 * 2304 * 2, ge=1, description="most pixels a frame may have")
    max_concurrent_sessions: int = Field(default=10, ge=1, description="sessions that may hold engine memory at once")
    session_timeout_seconds: float = Field(
        default=3600, gt=0, description="idle time after which a session is parked: its memory is freed"
    )
    session_cleanup_interval_seconds: float = Field(
        default=300, gt=0, description="how often idle sessions are looked for"
    )
    session_retention_seconds: float = Field(
        default=7 * 86400, gt=0, description="idle time after which a session is deleted"
    )
    socket_timeout_seconds: float = Field(
        default=30, gt=0, description="a WebSocket that asks for nothing is closed after so long"
    )
    frame_cache_mb: int = Field(default=256, ge=8, description="JPEG frames kept in memory, in MB")

    # Engines
    engine: Literal["auto", "sam3", "transformers", "lite", "fake"] = Field(
        default="auto", description="which engine to use"
    )
    video_model_enabled: bool = Field(default=True, description="serve video; false: images only")
    video_model_required: bool = Field(default=False, description="end when the engine asked for can't be loaded")
    video_model_gpus: str = Field(
        default="",
        pattern=r"^\s*(\d+(\s*[,+]\s*\d+)*)?\s*$",
        description="GPUs to use, by comma: a worker each; `0+1` is one worker over both; default: all",
    )
    video_model_compile: bool = Field(default=False, description="compile `sam3`'s model: slow start, faster frames")
    video_model_temporal_disambiguation: bool = Field(
        default=True, description="let `sam3` use its checks of what it follows against earlier frames"
    )
    sam3_checkpoint: str | None = Field(
        default=None, description="weights of `sam3`: a file, a folder or a hub id; default: Meta's own"
    )
    sam3_bpe_path: Path | None = Field(default=None, description="vocabulary of `sam3`'s texts, where it isn't found")
    model_id: str | None = Field(
        default=None, description="checkpoint of `transformers`: a folder or a hub id; default: `facebook/sam3`"
    )
    engine_step_timeout_seconds: float = Field(
        default=120, gt=0, description="an engine that says nothing for so long while it works is replaced"
    )
    engine_memory_mb: int = Field(
        default=0, ge=0, description="memory that a worker's sessions may hold, in MB; 0: by what its device has"
    )
    worker_memory_limit_mb: int = Field(
        default=0, ge=0, description="a worker that holds more main memory is replaced, in MB; 0: no limit"
    )
    fake_step_seconds: float = Field(
        default=0, ge=0, description="time the stand-in engine takes a frame (ENGINE=fake, for tests)"
    )
    fake_workers: int = Field(default=1, ge=1, le=64, description="and how many devices it pretends to have")
    image_model_confidence_threshold: float = Field(
        default=0.5, ge=0, le=1, description="score below which an image's finds are dropped"
    )
    image_model_device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="where `transformers` runs: `auto`, `cpu`, `mps` or `cuda`; `cuda:1`: the GPU of image calls",
    )
    image_model_resolution: int = Field(
        default=1008, ge=14, description="side of the square the model sees; SAM 3's weights know 1008 only"
    )
    enable_feature_cache: bool = Field(default=True, description="keep what the encoder made of still images")
    feature_cache_ttl_seconds: float = Field(default=600, gt=0, description="how long, when nobody asks for it")
    max_cache_size_mb: int = Field(default=4096, ge=0, description="and how much of it a worker keeps, in MB")

    @field_validator("cors_origins", "api_keys", "page_logins", "allowed_hosts", "frame_ancestors", mode="before")
    @classmethod
    def _by_comma(cls, value: Any) -> Any:
        return _text_list(value, ",")

    @field_validator("page_logins")
    @classmethod
    def _with_password(cls, value: list[str]) -> list[str]:
        if any(not user or not password for user, _, password in (login.partition(":") for login in value)):
            raise ValueError("a login is written user:password")
        return value

    @field_validator("frame_ancestors")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        if any(char in origin for origin in value for char in " ;,'\""):
            raise ValueError("an origin is written https://example.org")
        return value

    @field_validator("video_roots", mode="before")
    @classmethod
    def _by_colon(cls, value: Any) -> Any:
        return _text_list(value, os.pathsep)

    @cached_property
    def uploads(self) -> Path:
        """The folder of uploads, absolute."""
        return (self.upload_dir or self.data_dir / "uploads").resolve()

    @cached_property
    def outputs(self) -> Path:
        """The folder of exports, absolute."""
        return (self.output_dir or self.data_dir / "outputs").resolve()

    @cached_property
    def cache(self) -> Path:
        """The folder of what can be made again at any time, such as the backbone's ONNX file."""
        return (self.data_dir / "cache").resolve()
