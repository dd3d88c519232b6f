"""EfficientNet-Lite0 as ONNX: written once from the package's weights, run by onnxruntime.

Batch normalisation is folded into the convolutions. Two graphs are made: the *features* (five of
the seven stages, three taps) that tracking and clicking use, and the *classifier* that finding by
words uses.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from backend.domain import Image
from backend.engines.lite.weights import Weights, load_weights

Floats = NDArray[np.float32]

VERSION = 1
"""Part of the cached files' names: raise it when what is written changes."""
SIZE = 384
"""Side of the square picture that the feature network takes."""
CLASSIFIER_SIZE = 288
TAPS = ("b2", "b3", "b5")
"""Ends of the second, third and fifth stage: strides 4, 8, 16; 24, 40, 112 channels."""

CLICK_TAPS = ("b1", "b2", "b3", "b5", "b7")
"""Strides 2 to 32; what the click network looks at."""

_EPS = 1e-3
_MEAN, _STD = 127.0, 128.0


@dataclass(frozen=True, slots=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expand: int
    into: int
    out: int


_STAGES = (
    _Stage(1, 3, 1, 1, 32, 16),
    _Stage(2, 3, 2, 6, 16, 24),
    _Stage(2, 5, 2, 6, 24, 40),
    _Stage(3, 3, 2, 6, 40, 80),
    _Stage(3, 5, 1, 6, 80, 112),
    _Stage(4, 5, 2, 6, 112, 192),
    _Stage(1, 3, 1, 6, 192, 320),
)


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with its batch normalisation folded in; `opens`/`closes` a residual block."""

    kernel: Floats
    bias: Floats
    stride: int = 1
    groups: int = 1
    clipped: bool = True
    opens: bool = False
    closes: bool = False
    tap: str | None = None


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean and inverse deviation of a tap's channels, each (C, 1, 1)."""

    mean: Floats
    scale: Floats


def _fold(weights: Weights, conv: str, norm: str) -> tuple[Floats, Floats]:
    gain = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPS)
    kernel = np.ascontiguousarray(weights[f"{conv}.weight"] * gain[:, None, None, None], np.float32)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return kernel, bias.astype(np.float32)


def _blocks() -> Iterator[tuple[int, int, _Stage, int, bool]]:
    """Stage number, block number, stage, stride, whether the block adds its input."""
    number = 0
    for index, stage in enumerate(_STAGES):
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            residual = stride == 1 and (repeat > 0 or stage.into == stage.out)
            yield index, number, stage, stride, residual
            number += 1


def convolutions(weights: Weights, stages: int) -> list[Conv]:
    """The first so many stages, in order."""
    kernel, bias = _fold(weights, "_conv_stem", "_bn0")
    out = [Conv(kernel, bias, stride=2)]
    for index, number, stage, stride, residual in _blocks():
        if index >= stages:
            break
        name = f"_blocks.{number}"
        if stage.expand != 1:
            out.append(Conv(*_fold(weights, f"{name}._expand_conv", f"{name}._bn0"), opens=residual))
        kernel, bias = _fold(weights, f"{name}._depthwise_conv", f"{name}._bn1")
        out.append(Conv(kernel, bias, stride, groups=len(kernel), opens=residual and stage.expand == 1))
        last = number == sum(s.repeats for s in _STAGES[: index + 1]) - 1
        out.append(
            Conv(
                *_fold(weights, f"{name}._project_conv", f"{name}._bn2"),
                clipped=False,
                closes=residual,
                tap=f"b{index + 1}" if last else None,
            )
        )
    return out


def standards(weights: Weights) -> dict[str, Standard]:
    """How each tap's channels are spread on ImageNet, read off the batch normalisations.

    A tap is the sum of its stage's normalised projections; each has mean `bias` and deviation
    `weight` by construction, so no picture is needed to standardise by.
    """
    out: dict[str, Standard] = {}
    for wanted, stage in enumerate(_STAGES):
        mean = np.zeros(stage.out, np.float32)
        variance = np.zeros(stage.out, np.float32)
        for index, number, *_ in _blocks():
            if index == wanted:
                mean += weights[f"_blocks.{number}._bn2.bias"]
                variance += weights[f"_blocks.{number}._bn2.weight"] ** 2
        scale = 1 / np.sqrt(variance + 1e-6)
        out[f"b{wanted + 1}"] = Standard(mean[:, None, None], scale.astype(np.float32)[:, None, None])
    return out


def padding(kernel: int, stride: int) -> list[int]:
    """TensorFlow's SAME padding for even sizes: top, left, bottom, right."""
    total = kernel - stride
    return [total // 2, total // 2, total - total // 2, total - total // 2]


def _graph(convs: Sequence[Conv], size: int | None, outputs: Sequence[str]) -> bytes:
    """An ONNX model: `image` float (1, 3, size, size), RGB 0 to 255, to the named outputs.

    Without a size it takes any whose sides are multiples of 32.
    """
    import onnx  # Heavy, and only needed once in a machine's life.
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "mean": np.full((1, 3, 1, 1), _MEAN, np.float32),
        "scale": np.full((1, 3, 1, 1), 1 / _STD, np.float32),
        "low": np.float32(0),
        "high": np.float32(6),
    }
    nodes = [
        helper.make_node("Sub", ["image", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["t0"]),
    ]
    now, entry = "t0", ""
    for number, conv in enumerate(convs, 1):
        entry = now if conv.opens else entry
        side = conv.kernel.shape[2]
        constants[f"w{number}"], constants[f"c{number}"] = conv.kernel, conv.bias
        nodes.append(
            helper.make_node(
                "Conv",
                [now, f"w{number}", f"c{number}"],
                [f"t{number}"],
                kernel_shape=[side, side],
                strides=[conv.stride, conv.stride],
                pads=padding(side, conv.stride),
                group=conv.groups,
            )
        )
        now = f"t{number}"
        if conv.clipped:
            nodes.append(helper.make_node("Clip", [now, "low", "high"], [f"a{number}"]))
            now = f"a{number}"
        if conv.closes:
            nodes.append(helper.make_node("Add", [now, entry], [f"r{number}"]))
            now = f"r{number}"
        if conv.tap is not None and conv.tap in outputs:
            nodes.append(helper.make_node("Identity", [now], [conv.tap]))
    graph = helper.make_graph(
        nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size or "height", size or "width"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    written: bytes = onnx.shape_inference.infer_shapes(model).SerializeToString()
    return written


def _taps_model(weights: Weights) -> bytes:
    return _graph(convolutions(weights, 7), None, CLICK_TAPS)


def _features_model(weights: Weights) -> bytes:
    return _graph(convolutions(weights, 5), SIZE, TAPS)


def _classifier_model(weights: Weights) -> bytes:
    kernel, bias = _fold(weights, "_conv_head", "_bn1")
    head = Conv(kernel, bias, tap="head")
    # The classifier is linear after its pooling, so applied to every cell it is a class activation
    # map whose mean over the cells is the network's own answer.
    dense = Conv(
        np.ascontiguousarray(weights["_fc.weight"], np.float32)[:, :, None, None],
        np.ascontiguousarray(weights["_fc.bias"], np.float32),
        clipped=False,
        tap="classes",
    )
    return _graph([*convolutions(weights, 7), head, dense], CLASSIFIER_SIZE, ("classes",))


def _write(path: Path, model: bytes) -> None:
    """Put the file there whole or not at all: several workers may start at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        part.write(model)
    os.replace(part.name, path)


def open_session(path: Path) -> ort.InferenceSession:
    """An ONNX file, ready to run on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _open(path: Path, make: Any) -> ort.InferenceSession:
    if path.is_file():
        try:
            return open_session(path)
        except Exception:
            # onnxruntime's errors share no base; whatever is wrong with the file, it is made anew.
            path.unlink(missing_ok=True)
    _write(path, make(load_weights()))
    return open_session(path)


def _planar(picture: Image) -> Floats:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)


class Backbone:
    """The feature network.

    Args:
        cache_dir: where its ONNX file is kept; made when missing.

    Raises:
        EngineError: the weights can't be read.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._session = _open(cache_dir / f"lite0-features-{SIZE}-v{VERSION}.onnx", _features_model)
        spread = standards(load_weights())
        self._standards = [spread[name] for name in TAPS]

    def features(self, picture: Image) -> tuple[Floats, Floats, Floats]:
        """Standardised taps of an RGB picture (SIZE, SIZE, 3): each (H, W, C), strides 4, 8, 16."""
        taps = self._session.run(list(TAPS), {"image": _planar(picture)})
        b2, b3, b5 = (
            np.ascontiguousarray(((tap[0] - s.mean) * s.scale).transpose(1, 2, 0))
            for tap, s in zip(taps, self._standards, strict=True)
        )
        return b2, b3, b5


class Taps:
    """All seven stages, for pictures of any size by 32."""

    def __init__(self, cache_dir: Path) -> None:
        self._session = _open(cache_dir / f"lite0-taps-v{VERSION}.onnx", _taps_model)

    def of(self, picture: Image) -> list[Floats]:
        """`CLICK_TAPS` as they are, (1, C, H, W) each, of an RGB picture (H, W, 3)."""
        return [np.asarray(tap) for tap in self._session.run(list(CLICK_TAPS), {"image": _planar(picture)})]


class Classifier:
    """The whole network, asked what it sees in each cell of a picture."""

    def __init__(self, cache_dir: Path) -> None:
        path = cache_dir / f"lite0-classifier-{CLASSIFIER_SIZE}-v{VERSION}.onnx"
        self._session = _open(path, _classifier_model)

    def activations(self, picture: Image) -> Floats:
        """Class logits (cells, cells, 1000) of an RGB picture (CLASSIFIER_SIZE, CLASSIFIER_SIZE, 3).

        Their mean over the cells are the logits of the picture.
        """
        (classes,) = self._session.run(["classes"], {"image": _planar(picture)})
        return np.ascontiguousarray(classes[0].transpose(1, 2, 0))
