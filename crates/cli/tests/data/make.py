"""Makes add.onnx: a model as small as one can be, for tests that need another than digits.

Usage: python make.py      (needs the package onnx)
"""

import pathlib

from onnx import TensorProto, checker, helper


def tensor(name):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2])


graph = helper.make_graph(
    [helper.make_node("Add", ["left", "right"], ["sum"], name="sum")],
    "add",
    [tensor("left"), tensor("right")],
    [tensor("sum")],
)
model = helper.make_model(
    graph,
    ir_version=8,
    opset_imports=[helper.make_opsetid("", 17)],
    producer_name="crates/cli/tests/data/make.py",
)
checker.check_model(model, full_check=True)
pathlib.Path(__file__).with_name("add.onnx").write_bytes(model.SerializeToString(deterministic=True))
