"""Makes random weights answer like a model: with masks of some size, objects that stay, a few finds.

Fresh layers give nearly the same tiny numbers everywhere: all masks would be alike, no object would
ever be on a picture, and a tracker would forget on the next frame whom it follows.
"""

from __future__ import annotations

from typing import Any

CONTRAST = 5.0
"""How much stronger the layers that draw masks are made."""
PRESENT = 3.0
"""Where the object score lies on average; its sigmoid is the score people see."""
RECALL = 3.0
"""How loudly a remembered mask speaks in the features of the next frame."""
FEWER = 0.5
"""How far finds stay below half of the picture, in deviations of their logits."""
SHARP = 6.0
"""How little of a place's neighbours is remembered with it."""
HOLD = 0.2
"""How much a remembered mask adds to the logits inside it, and takes from those outside."""


def liven(model: Any) -> None:
    """Change a fresh model's weights in place; call it without gradients.

    Args:
        model: a `Sam3VideoModel`, `Sam2VideoModel` or `EdgeTamVideoModel`.
    """
    tracker = getattr(model, "tracker_model", model)
    _strengthen(tracker.mask_decoder)
    head = tracker.mask_decoder.pred_obj_score_head.proj_out
    head.weight.mul_(2)
    head.bias.fill_(PRESENT)
    if not hasattr(tracker, "spatial_perceiver"):
        # EdgeTAM presses its memory into a few latents, in which no place can be found again.
        _remember(tracker)
        _redraw(tracker, model.tracker_neck if hasattr(model, "tracker_neck") else model.vision_encoder.neck)
    _centre(model, tracker)
    if hasattr(model, "detector_model"):
        _liven_detector(model.detector_model)


def _strengthen(layers: Any) -> None:
    for weight in layers.parameters():
        if weight.dim() > 1:
            weight.mul_(CONTRAST)


def _liven_detector(detector: Any) -> None:
    _strengthen(detector.mask_decoder)
    # Words and queries that differ a little shall differ much, some of them above the threshold.
    detector.dot_product_scoring.text_proj.weight.mul_(8)
    detector.dot_product_scoring.query_proj.weight.mul_(8)
    detector.detr_decoder.presence_head.layer3.bias.fill_(4.0)
    _centre_detector(detector)


def _centre_detector(detector: Any) -> None:
    """Let finds cover some of a picture, neither specks nor all of it."""
    import torch

    size = detector.config.vision_config.image_size
    picture = torch.rand(1, 3, size, size) * 2 - 1
    words = torch.arange(300, 308)[None]
    decoder = detector.mask_decoder
    seen: list[Any] = []
    listening = decoder.instance_projection.register_forward_hook(lambda _, __, out: seen.append(out))
    out = detector(pixel_values=picture, input_ids=words, attention_mask=torch.ones_like(words))
    listening.remove()
    mean = seen[-1].mean((0, 2, 3))
    last = decoder.mask_embedder.layers[-1]
    across = torch.eye(len(mean)) - torch.outer(mean, mean) / mean.dot(mean)
    last.weight.copy_(across @ last.weight)
    spread = out.pred_masks.std((-1, -2)).mean()
    last.bias.copy_(across @ last.bias - FEWER * spread * mean / mean.dot(mean))


def _remember(tracker: Any) -> None:
    """Carry the masks of earlier frames into channel 0 of the features, each to its own place."""
    import torch

    encoder = tracker.memory_encoder
    for layer in encoder.mask_downsampler.layers:
        # Only the two by two pixels that a cell covers: the third would move masks from frame to frame.
        layer.conv.weight[:, :, 0, :] = 0.0
        layer.conv.weight[:, :, :, 0] = 0.0
    side = 4 * tracker.prompt_encoder.mask_input_size[0]
    inside, outside = (
        encoder.mask_downsampler(torch.full((1, 1, side, side), value))[0, :, 4, 4] for value in (10.0, -10.0)
    )
    apart = inside - outside
    # The memory's channel 0 becomes 1 inside a mask and -1 outside.
    direction = 2 * apart / apart.dot(apart)
    encoder.projection.weight[0] = direction.view(-1, 1, 1)
    # A place that is inside in part counts as inside: masks would shrink from frame to frame.
    encoder.projection.bias[0] = 0.1 - direction.dot(inside + outside) / 2
    for layer in tracker.memory_attention.layers:
        attention = layer.cross_attn_image
        for part in (attention.q_proj, attention.k_proj):
            # Equal vectors everywhere: only the rotation by the place tells them apart.
            part.weight.zero_()
            part.bias.fill_(SHARP)
        for part, gain in ((attention.v_proj, 1.0), (attention.o_proj, RECALL)):
            part.weight[0].zero_()
            part.weight[0, 0] = gain
            part.bias[0] = 0.0


def _redraw(tracker: Any, neck: Any) -> None:
    """Let channel 0 of the features decide where the mask is, and nothing else speak in it."""
    decoder = tracker.mask_decoder
    silent = [layer.proj2 for layer in neck.fpn_layers] if hasattr(neck, "fpn_layers") else list(neck.convs)
    silent += [layer.cross_attn_image_to_token.o_proj for layer in decoder.transformer.layers]
    for layer in silent:
        layer.weight[0] = 0.0
        layer.bias[0] = 0.0
    tracker.prompt_encoder.no_mask_embed.weight[0, 0] = 0.0
    first, second = decoder.upscale_conv1, decoder.upscale_conv2
    for layer in (first, second):
        layer.weight[:, :2] = 0.0
        layer.bias[:2] = 0.0
    # Activations cut off what is below zero, so its negative goes beside it, in channel 1.
    first.weight[0, 0], first.weight[0, 1] = 2.0, -2.0
    second.weight[0, 0], second.weight[1, 1] = 2.0, 2.0
    for layer in (decoder.conv_s1, decoder.conv_s0):
        layer.weight[:2] = 0.0
        layer.bias[:2] = 0.0


def _centre(model: Any, tracker: Any) -> None:
    """Let masks cover about half of a picture on average, each click another half; then add what is held."""
    import torch

    picture = torch.rand(1, 3, tracker.image_size, tracker.image_size) * 2 - 1
    if hasattr(model, "tracker_neck"):
        maps, _ = model.get_vision_features_for_tracker(model.detector_model.get_vision_features(picture))
    else:
        maps = model.get_image_features(picture).fpn_hidden_states
    *fine, coarse = (
        m.permute(1, 2, 0).reshape(1, -1, *size) for m, size in zip(maps, tracker.backbone_feature_sizes, strict=True)
    )
    seen: list[Any] = []
    listening = tracker.mask_decoder.activation.register_forward_hook(lambda _, __, out: seen.append(out))
    tracker._single_frame_forward(image_embeddings=[*fine, coarse])
    listening.remove()
    mean = seen[-1].mean((0, 2, 3))
    across = torch.eye(len(mean)) - torch.outer(mean, mean) / mean.dot(mean)
    holds = not hasattr(tracker, "spatial_perceiver")
    for each in tracker.mask_decoder.output_hypernetworks_mlps:
        each.proj_out.weight.copy_(across @ each.proj_out.weight)
        each.proj_out.bias.copy_(across @ each.proj_out.bias)
        if holds:
            each.proj_out.weight[:2] = 0.0
            each.proj_out.bias[0], each.proj_out.bias[1] = HOLD, -HOLD
