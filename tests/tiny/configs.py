"""Configurations of the smallest models that still have every part of the real ones."""

from __future__ import annotations

from typing import Any

HIDDEN = 128
"""Width of everything; the memory's 64 channels must be fewer."""
VOCABULARY = 514
TOKENS = 32


def _vit(size: int) -> dict[str, Any]:
    side = size // 14
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": size,
        "pretrain_image_size": size,
        "patch_size": 14,
        "window_size": side // 2,
        "global_attn_indexes": [1],
    }
    return {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": HIDDEN,
        "backbone_feature_sizes": [[4 * side] * 2, [2 * side] * 2, [side] * 2],
    }


def _hiera(size: int) -> dict[str, Any]:
    side = size // 16
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "num_attention_heads": 1,
        "image_size": [size, size],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 2, 4],
        "window_size_per_stage": [4, 4, 4, 2],
        "window_positional_embedding_background_size": [4, 4],
        "global_attention_blocks": [3],
    }
    return {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [128, 64, 32, 16],
        "fpn_hidden_size": HIDDEN,
        "backbone_feature_sizes": [[4 * side] * 2, [2 * side] * 2, [side] * 2],
    }


def _memory(size: int, patch: int) -> dict[str, Any]:
    """What all trackers have: prompts, the mask decoder and the memory."""
    side = size // patch
    return {
        "prompt_encoder_config": {
            "hidden_size": HIDDEN,
            "image_size": size,
            "patch_size": patch,
            "mask_input_channels": 4,
        },
        "mask_decoder_config": {
            "hidden_size": HIDDEN,
            "mlp_dim": 2 * HIDDEN,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": HIDDEN,
        },
        "image_size": size,
        "memory_attention_hidden_size": HIDDEN,
        "memory_attention_num_layers": 1,
        "memory_attention_rope_feat_sizes": [side, side],
        "memory_encoder_hidden_size": HIDDEN,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": HIDDEN,
        "memory_fuser_embed_dim": HIDDEN,
        "memory_fuser_intermediate_dim": 2 * HIDDEN,
        "memory_fuser_num_layers": 1,
    }


def sam3_tracker(size: int) -> dict[str, Any]:
    """The part of SAM 3 that follows objects; `size` is a multiple of 28."""
    return {
        "vision_config": _vit(size),
        **_memory(size, 14),
        "memory_attention_feed_forward_hidden_size": 2 * HIDDEN,
    }


def sam3_detector(size: int) -> dict[str, Any]:
    """The part of SAM 3 that finds by words; `size` is a multiple of 28."""
    layers = {"num_layers": 1, "hidden_size": HIDDEN, "num_attention_heads": 2, "intermediate_size": 2 * HIDDEN}
    text = {
        "model_type": "clip_text_model",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "projection_dim": HIDDEN,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": TOKENS,
        "hidden_act": "gelu",
        "bos_token_id": VOCABULARY - 2,
        "eos_token_id": VOCABULARY - 1,
        "pad_token_id": VOCABULARY - 1,
    }
    return {
        "vision_config": _vit(size),
        "text_config": text,
        "geometry_encoder_config": layers,
        "detr_encoder_config": layers,
        "detr_decoder_config": {**layers, "num_queries": 6},
        "mask_decoder_config": {"hidden_size": HIDDEN, "num_attention_heads": 2},
    }


def sam2(size: int) -> dict[str, Any]:
    """SAM 2.1; `size` is a multiple of 32."""
    return {
        "vision_config": _hiera(size),
        **_memory(size, 16),
        "memory_attention_feed_forward_hidden_size": 2 * HIDDEN,
    }


def edgetam(size: int) -> dict[str, Any]:
    """EdgeTAM with SAM 2.1's small encoder: its own one comes from a package of its own (timm)."""
    return {
        "vision_config": _hiera(size),
        **_memory(size, 16),
        "memory_attention_mlp_hidden_size": 2 * HIDDEN,
        "memory_attention_rope_k_sizes": [4, 4],
        "perceiver_resampler_num_latents": 16,
        "perceiver_resampler_num_latents_2d": 16,
        "perceiver_resampler_mlp_intermediate_size": 64,
        "perceiver_resampler_num_layers": 1,
    }
