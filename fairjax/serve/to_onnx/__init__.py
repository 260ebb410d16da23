"""An inference function of JAX as an ONNX graph.

FairJAX has its own exporter because none that is maintained fits (looked up in November 2026):

* jax2onnx 0.17.1 is alive. Its IResNets and Vision Transformers are right, but onnxruntime refuses
  its ResNets and TFCs (it moves the transposes around ReLU wrongly), and it cannot be installed
  beside orbax-checkpoint 0.11.37 or newer.
* tf2onnx needs the graphs that `jax2tf.convert(enable_xla=False)` made; JAX removed them.
* yet-another-onnx-builder reads StableHLO, but no package index has it.

This package can go once one of them passes tests/serve/test_to_onnx.py.
"""

from fairjax.serve.to_onnx.trace import OPSET as OPSET
from fairjax.serve.to_onnx.trace import to_onnx as to_onnx
