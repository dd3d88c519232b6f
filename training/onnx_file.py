"""Writes a trained network as the ONNX file that the engine ships: weights at half precision."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

_OPSET = 17
_LEAST = 64
"""Tensors with fewer numbers stay as they are."""


def write(network: nn.Module, inputs: Mapping[str, Tensor], out: Path, sized: Sequence[str] = ()) -> None:
    """Write a network that takes these inputs and gives `logits`; of the `sized` ones height and width are free."""
    network.eval()
    free = {name: {2: f"{name}_height", 3: f"{name}_width"} for name in sized}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that is to replace this one needs a package more, and fixes the sizes.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_axes={**free, "logits": {2: "height", 3: "width"}} if free else None,
            opset_version=_OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    halve(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(out))


def halve(model: onnx.ModelProto) -> None:
    """Store a model's weights in half precision, widened as they are read; it computes in single as before."""
    widened = []
    for number, tensor in enumerate(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _LEAST:
            continue
        half, name = f"{tensor.name}_half", tensor.name
        widened.append(helper.make_node("Cast", [half], [name], f"widen_{number}", to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
    for node in reversed(widened):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model)
