"""How long does onnxruntime take for the networks that `og bench latency` is measured on? Usage: networks.py OG FOLDER

Writes ONNX files with random weights, their int8 forms by onnxruntime's static quantization, and what `OG model build` makes of the
float files, to FOLDER. Then in each round all three answer requests of one entry, one after the other, on one thread each.
Prints a line of JSON per network: medians over the rounds of each round's median, in microseconds, with least and greatest.
The call from Python is part of onnxruntime's time, about 5 of them; reading and checking of the request's tensors is part of ours.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

ROUNDS, REQUESTS, CALIBRATION = 5, 1000, 64


class Network:
    """An ONNX graph under construction; a value is named after the node that makes it."""

    def __init__(self, name, shape):
        self.name, self.shape, self.nodes, self.weights = name, shape, [], []
        self.random = numpy.random.default_rng(0)

    def weight(self, *shape):
        fan_in = numpy.prod(shape[1:]) if len(shape) > 1 else 100
        values = self.random.standard_normal(shape) * (2 / fan_in) ** 0.5
        self.weights.append(numpy_helper.from_array(values.astype(numpy.float32), f"weight{len(self.weights)}"))
        return self.weights[-1].name

    def add(self, operator, *inputs, **attributes):
        self.nodes.append(helper.make_node(operator, list(inputs), [f"value{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def dense(self, value, inputs, outputs):
        return self.add("Gemm", value, self.weight(outputs, inputs), self.weight(outputs), transB=1)

    def convolution(self, value, inputs, outputs, size, stride=1, pad=None):
        pad = size // 2 if pad is None else pad
        return self.add("Conv", value, self.weight(outputs, inputs, size, size), self.weight(outputs), kernel_shape=[size] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def save(self, folder):
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *self.shape])
        gives = helper.make_tensor_value_info(self.nodes[-1].output[0], TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, self.name, [given], [gives], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.save(onnx.shape_inference.infer_shapes(model), folder / f"{self.name}.onnx")


def perceptron(name, widths):
    network = Network(name, [widths[0]])
    value = "x"
    for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        value = network.add("Relu", value) if layer else value
        value = network.dense(value, inputs, outputs)
    return network


def lenet():
    network = Network("lenet", [1, 28, 28])
    value = network.add("Relu", network.convolution("x", 1, 6, 5))
    value = network.add("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    value = network.add("Relu", network.convolution(value, 6, 16, 5, pad=0))
    value = network.add("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    value = network.add("Flatten", value, axis=1)
    for inputs, outputs in [(400, 120), (120, 84)]:
        value = network.add("Relu", network.dense(value, inputs, outputs))
    network.dense(value, 84, 10)
    return network


def residual():
    """A residual network of 20 layers for pictures of 32 by 32, 41 million multiplications."""
    network = Network("resnet20", [3, 32, 32])
    value, width = network.add("Relu", network.convolution("x", 3, 16, 3)), 16
    for stage in range(3):
        for block in range(3):
            wider, stride = 16 << stage, 2 if stage and not block else 1
            inner = network.add("Relu", network.convolution(value, width, wider, 3, stride))
            inner = network.convolution(inner, wider, wider, 3)
            side = value if width == wider else network.convolution(value, width, wider, 1, stride)
            value, width = network.add("Relu", network.add("Add", inner, side)), wider
    value = network.add("Flatten", network.add("GlobalAveragePool", value), axis=1)
    network.dense(value, 64, 10)
    return network


class Data(CalibrationDataReader):
    def __init__(self, entries):
        self.entries = iter(entries)

    def get_next(self):
        entry = next(self.entries, None)
        return None if entry is None else {"x": entry[None]}


def make(og, folder, network):
    """The float file, the int8 file, the program."""
    plain, small, program = (folder / f"{network.name}{suffix}" for suffix in (".onnx", ".int8.onnx", ".og"))
    network.save(folder)
    entries = numpy.random.default_rng(1).uniform(0, 1, (CALIBRATION, *network.shape)).astype(numpy.float32)
    numpy.savetxt(folder / "calibration.csv", entries.reshape(CALIBRATION, -1), delimiter=",", fmt="%.6f")
    quantize_static(plain, small, Data(entries), quant_format=QuantFormat.QDQ, per_channel=True, weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8)
    subprocess.run([og, "model", "build", plain, "--data", folder / "calibration.csv", "--out", program], check=True, stdout=subprocess.DEVNULL)
    return plain, small, program


def theirs(path):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    entry = {"x": numpy.random.default_rng(2).uniform(0, 1, shape).astype(numpy.float32)}
    micros = []
    for request in range(REQUESTS + 20):
        started = time.perf_counter()
        session.run(None, entry)
        micros.append((time.perf_counter() - started) * 1e6)
    return statistics.median(micros[20:])


def ours(og, program):
    lines = subprocess.run([og, "bench", "latency", "--model", program, "--rounds", "1", "--json"], check=True, capture_output=True, text=True).stdout.splitlines()
    return json.loads(lines[0])["value"]


def summary(values):
    return [float(f"{value:.4g}") for value in (statistics.median(values), min(values), max(values))]


def main():
    og, folder = sys.argv[1], Path(sys.argv[2])
    for network in [perceptron("mlp", [64, 32, 10]), perceptron("mlp512", [784, 512, 512, 10]), lenet(), residual()]:
        plain, small, program = make(og, folder, network)
        rounds = [(theirs(plain), theirs(small), ours(og, program)) for _ in range(ROUNDS)]
        in_float, in_int8, own = (list(column) for column in zip(*rounds))
        faster = min(statistics.median(in_float), statistics.median(in_int8))
        print(json.dumps({"network": network.name, "float": summary(in_float), "int8": summary(in_int8), "ours": summary(own), "ours_to_the_faster": round(statistics.median(own) / faster, 2)}), flush=True)


if __name__ == "__main__":
    main()
