"""Routes of still images."""

from __future__ import annotations

from fastapi import APIRouter

from backend.api import bodies as b
from backend.api import replies as r
from backend.api.context import ServiceDep
from backend.sessions.image import segment_batch, segment_image, segment_texts

router = APIRouter(prefix="/api/v1/image", tags=["image"], responses=r.ERRORS)


@router.post("/segment")
async def segment(service: ServiceDep, body: b.ImageBody) -> r.Segmented:
    """Segment one still image."""
    prompts = [p.model_dump() for p in body.prompts]
    found = await segment_image(service, body.image, prompts, body.confidence_threshold, body.return_visualization)
    return r.Segmented(**found)


@router.post("/batch", response_model_exclude_unset=True)
async def batch(service: ServiceDep, body: b.BatchBody) -> r.Batch:
    """Segment several still images; one that fails carries an `error` and stops none of the others."""
    images = [item.model_dump() for item in body.images]
    return r.Batch(**await segment_batch(service, images, body.confidence_threshold, body.max_concurrent))


@router.post("/cached-features")
async def cached_features(service: ServiceDep, body: b.FeaturesBody) -> r.CachedFeatures:
    """Look for several texts on one image: its features are computed once, and kept for the next call."""
    return r.CachedFeatures(**await segment_texts(service, body.image, body.text_prompts, body.confidence_threshold))
