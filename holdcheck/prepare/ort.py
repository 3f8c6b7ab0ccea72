"""From ONNX to the ORT format, which the server maps instead of parsing."""

from pathlib import Path

import onnxruntime

_ERRORS_ONLY = 3


def write_ort(source: Path, target: Path, *, keep_casts: bool = False) -> None:
    """Optimise an ONNX file and save it in the ORT format.

    `keep_casts` leaves fp16 weights as they are; folding would write them out as fp32.

    Extended level at most: the level above rearranges weights for the CPU that happens to run prepare.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.enable_cpu_mem_arena = False
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.save_model_format", "ORT")
    # Packed weights would be a second copy of each, in memory that prepare does not have.
    options.add_session_config_entry("session.disable_prepacking", "1")
    onnxruntime.InferenceSession(
        str(source),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["ConstantFolding"] if keep_casts else None,
    )
