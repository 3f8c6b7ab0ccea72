"""From an exported graph without weights to an int8, fp16 or fp32 model, one weight at a time.

Exporters and onnxruntime's own quantiser hold a model's weights three to five times over. Here the exported
graph carries none: each is read from the (mapped) checkpoint, converted, appended to a file, and forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from holdcheck.prepare.outliers import Peaks, divisors

Precision = Literal["int8", "fp16", "fp32"]

_CONTRIB = "com.microsoft"
_LARGEST = 63
_LEAST_QUANTIZED = 1 << 12
"""Elements below which a matrix is not worth quantising."""


@dataclass(slots=True)
class _Data:
    """The file beside the graph that its weights lie in."""

    path: Path
    tensors: list[TensorProto] = field(default_factory=list)

    def add(self, name: str, value: NDArray[Any]) -> str:
        """Append a weight to the file; return its name in the graph."""
        tensor = numpy_helper.from_array(np.empty(0, dtype=value.dtype), name)
        tensor.ClearField("raw_data")
        tensor.ClearField("dims")
        tensor.dims.extend(value.shape)
        with self.path.open("ab") as file:
            file.write(b"\0" * (-file.tell() % 4096))  # page-aligned, so that it can be mapped in place
            offset = file.tell()
            file.write(np.ascontiguousarray(value).data)
        tensor.data_location = TensorProto.EXTERNAL
        for key, entry in (("location", self.path.name), ("offset", offset), ("length", value.nbytes)):
            tensor.external_data.add(key=key, value=str(entry))
        self.tensors.append(tensor)
        return name


def fill(
    graph_file: Path,
    weights: Mapping[str, Any],
    precision: Precision,
    target: Path,
    *,
    peaks: Peaks | None = None,
) -> None:
    """Give a graph its weights.

    Args:
        graph_file: ONNX whose inputs beyond the first are parameters, named as in `weights`.
        weights: name -> torch tensor, of any floating type.
        precision: int8 quantises matrix products (fp32 elsewhere); fp16 stores matrices in half.
        target: the ONNX file to write; its data goes beside it.
        peaks: int8: move the outliers of these activations into the weights.
    """
    model = onnx.load(graph_file)
    graph = model.graph
    data = _Data(target.with_suffix(".data"))
    data.path.unlink(missing_ok=True)
    if precision == "int8":
        _quantize_products(graph, weights, peaks or {}, data)
    used = {name for node in graph.node for name in node.input}
    parameters = [entry.name for entry in list(graph.input)[1:]]
    halves = [_store(name, _float32(weights[name]), precision, data) for name in parameters if name in used]
    del graph.input[1:]
    casts = [node for node in halves if node is not None]
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(data.tensors)
    if not any(opset.domain == _CONTRIB for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    onnx.save(model, target)


def _store(name: str, value: NDArray[np.float32], precision: Precision, data: _Data) -> Any:
    if precision != "fp16" or value.ndim < 2:
        data.add(name, value)
        return None
    half = data.add(f"{name}.half", value.astype(np.float16))
    return helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT, name=f"{name}.cast")


def _quantize_products(graph: Any, weights: Mapping[str, Any], peaks: Peaks, data: _Data) -> None:
    producers = {output: node for node in graph.node for output in node.output}
    consumers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    replaced: dict[str, list[Any]] = {}  # output of a node that is replaced -> its replacement
    dropped: set[str] = set()
    for node in graph.node:
        product = _constant_product(node, producers, weights)
        if product is None:
            continue
        matrix, bias = product
        last = node
        if bias is None:
            follower, bias = _bias_after(node, consumers, weights)
            if follower is not None:
                dropped.add(node.output[0])
                last = follower
        replaced[last.output[0]] = _dynamic_product(node, last.output[0], matrix, bias, weights, peaks, data)
    kept = [replaced.get(node.output[0], [node]) for node in graph.node if node.output[0] not in dropped]
    del graph.node[:]
    graph.node.extend(_reachable([node for nodes in kept for node in nodes], graph.output))


def _constant_product(
    node: Any, producers: Mapping[str, Any], weights: Mapping[str, Any]
) -> tuple[tuple[str, bool], str | None] | None:
    """The ((weight, transposed), bias) of `x @ weight + bias`, or None if `node` is something else."""
    if node.op_type == "MatMul":
        matrix = _constant(node.input[1], producers, weights)
        return (matrix, None) if matrix else None
    if node.op_type == "Gemm" and not _attributes(node).keys() & {"transA", "alpha", "beta"} - _ones(node):
        matrix = _constant(node.input[1], producers, weights)
        if matrix is None or (len(node.input) > 2 and node.input[2] not in weights):
            return None
        flipped = matrix[1] != bool(_attributes(node).get("transB", 0))
        return (matrix[0], flipped), node.input[2] if len(node.input) > 2 else None
    return None


def _constant(name: str, producers: Mapping[str, Any], weights: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Follow transpositions and casts back to a parameter: its name, and whether it is transposed."""
    transposed = False
    while name not in weights:
        node = producers.get(name)
        if node is None or node.op_type not in {"Transpose", "Identity", "Cast"}:
            return None
        transposed ^= node.op_type == "Transpose"
        name = node.input[0]
    weight = weights[name]
    return (name, transposed) if weight.ndim == 2 and weight.numel() >= _LEAST_QUANTIZED else None


def _bias_after(
    node: Any, consumers: Mapping[str, list[Any]], weights: Mapping[str, Any]
) -> tuple[Any, str | None]:
    """The Add that gives `node` its bias, if that is all that becomes of `node`."""
    followers = consumers.get(node.output[0], [])
    if len(followers) == 1 and followers[0].op_type == "Add":
        other = next((name for name in followers[0].input if name != node.output[0]), "")
        if other in weights and weights[other].ndim == 1:
            return followers[0], other
    return None, None


def _dynamic_product(
    node: Any,
    output: str,
    matrix: tuple[str, bool],
    bias: str | None,
    weights: Mapping[str, Any],
    peaks: Peaks,
    data: _Data,
) -> list[Any]:
    """onnxruntime's DynamicQuantizeMatMul: activations to uint8 as they come, weights once, here.

    Weights are int8 with a scale for each output, because onnxruntime is 1.8 times as fast with them as with
    uint8; they use 7 of the 8 bits, because the 16-bit sums of CPUs without VNNI saturate with all of them.
    """
    name, transposed = matrix
    value = _float32(weights[name])
    value = value.T if transposed else value
    nodes, activations = [], node.input[0]
    if name in peaks:
        divisor = divisors(peaks[name], value)
        value = value * divisor[:, None]
        factor = data.add(f"{output}.factor", 1 / divisor)
        activations = f"{output}.equalised"
        nodes = [helper.make_node("Mul", [node.input[0], factor], [activations], name=activations)]
    scale = np.maximum(np.abs(value).max(axis=0), np.finfo(np.float32).tiny) / _LARGEST
    quantized = np.rint(value / scale).astype(np.int8)
    inputs = [
        activations,
        data.add(f"{output}.weight", quantized),
        data.add(f"{output}.scale", scale.astype(np.float32)),
        data.add(f"{output}.zero_point", np.zeros(scale.shape, dtype=np.int8)),
    ]
    if bias is not None:
        inputs.append(data.add(f"{output}.bias", _float32(weights[bias])))
    nodes.append(helper.make_node("DynamicQuantizeMatMul", inputs, [output], name=output, domain=_CONTRIB))
    return nodes


def _reachable(nodes: list[Any], outputs: Any) -> list[Any]:
    """Drop what nothing uses any more: the transpositions of weights that were quantised."""
    needed = {output.name for output in outputs}
    kept = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    return kept[::-1]


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _ones(node: Any) -> set[str]:
    """Attributes at the value that changes nothing."""
    neutral = {"transA": 0, "alpha": 1.0, "beta": 1.0}
    return {name for name, value in _attributes(node).items() if neutral.get(name) == value}


def _float32(tensor: Any) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().float().numpy())
