"""Makes the models in this folder, and what onnxruntime computes with them.

Usage: python generate.py [CASE ...]

Each case is NAME.onnx and NAME.npz: arrays named as the model's inputs and outputs, one sample after the other along the
first axis. Weights are random (seeded); layers are as torch, transformers and scikit-learn export them.
"""

import io
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

HERE = pathlib.Path(__file__).parent
SAMPLES = 8


def write(name, model, samples):
    """Writes a model and the outputs of onnxruntime for samples: dictionaries of inputs."""
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    arrays = {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}
    results = [session.run(names, sample) for sample in samples]
    for index, output in enumerate(names):
        column = np.stack([np.asarray(result[index]) for result in results])
        arrays[output] = column
    (HERE / f"{name}.onnx").write_bytes(data)
    np.savez(HERE / f"{name}.npz", **arrays)
    print(name, len(data), (HERE / f"{name}.npz").stat().st_size)


def exported(module, inputs, names, outputs, opset=17):
    """What torch exports."""
    module.eval()
    file = io.BytesIO()
    torch.onnx.export(
        module, inputs, file, input_names=names, output_names=outputs, opset_version=opset, dynamo=False
    )
    return onnx.load_from_string(file.getvalue())


def torch_case(name, module, shape, opset=17, outputs=("y",)):
    generator = np.random.default_rng(1)
    for parameter in module.buffers():
        if parameter.dtype == torch.float32 and parameter.dim() == 1:
            parameter.data = torch.rand(parameter.shape) + 0.5
    model = exported(module, (torch.zeros(shape),), ["x"], list(outputs), opset)
    samples = [{"x": generator.standard_normal(shape).astype(np.float32)} for _ in range(SAMPLES)]
    write(name, model, samples)


def mlp():
    layers = [nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 16), nn.Tanh(), nn.Linear(16, 5), nn.LogSoftmax(-1)]
    torch_case("mlp", nn.Sequential(*layers), (1, 12), opset=9)


class Block(nn.Module):
    """A depthwise separable residual block with batch normalization, as in mobile networks."""

    def __init__(self, channels, activation):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            activation,
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return x + self.body(x)


def cnn():
    layers = [
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.Hardswish(),
        Block(8, nn.ReLU6()),
        nn.MaxPool2d(3, stride=2, padding=1),
        Block(8, nn.SiLU()),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 12, 3, dilation=2, padding=2),
        nn.LeakyReLU(0.1),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 6),
        nn.Softmax(-1),
    ]
    torch_case("cnn", nn.Sequential(*layers), (1, 3, 16, 16), opset=13)


class Series(nn.Module):
    """A convolution over a series, with parts cut, put together and padded."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 6, 3, stride=2)
        self.norm = nn.LayerNorm(10)
        self.last = nn.Linear(20, 3)

    def forward(self, x):
        x = nn.functional.pad(x, (1, 2))
        y = self.norm(self.first(x))
        a, b, c = torch.split(y, 2, dim=1)
        z = torch.cat([torch.maximum(a, b), c.flip(2) * a, b / (1.5 + torch.sigmoid(c))], dim=1)
        z = nn.functional.gelu(z).transpose(1, 2)
        mean, top = z.mean(-1), z.max(-1).values
        return self.last(torch.cat([mean, top], dim=-1))


def series():
    torch_case("series", Series(), (1, 4, 18), opset=17)


class Recurrent(nn.Module):
    """A recurrent layer and what is read of it."""

    def __init__(self, layer, width):
        super().__init__()
        self.layer = layer
        self.last = nn.Linear(width, 4)

    def forward(self, x):
        y, _ = self.layer(x)
        return self.last(y[-1]), y.mean(0)


def lstm():
    torch_case("lstm", Recurrent(nn.LSTM(5, 8, num_layers=2), 8), (7, 1, 5), opset=14, outputs=("y", "mean"))


def gru():
    torch_case("gru", Recurrent(nn.GRU(5, 8, bidirectional=True), 16), (7, 1, 5), opset=11, outputs=("y", "mean"))


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=16,
        num_labels=3,
        initializer_range=0.3,
    )
    config._attn_implementation = "eager"
    model = BertForSequenceClassification(config).eval()

    class Wrapped(nn.Module):
        def forward(self, input_ids, attention_mask, token_type_ids):
            hidden = model.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return model.classifier(hidden.pooler_output), hidden.last_hidden_state

    generator = np.random.default_rng(2)
    samples = []
    for _ in range(SAMPLES):
        length = int(generator.integers(4, 13))
        mask = (np.arange(12) < length).astype(np.int64)[None]
        ids = generator.integers(1, 64, (1, 12)) * mask
        kinds = (np.arange(12) >= length // 2).astype(np.int64)[None] * mask
        samples.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds})
    wrapped = Wrapped()
    wrapped.model = model
    names = ["input_ids", "attention_mask", "token_type_ids"]
    tensors = tuple(torch.from_numpy(samples[0][name]) for name in names)
    write("bert", exported(wrapped, tensors, names, ["logits", "hidden"], 14), samples)


class Old(nn.Module):
    """An encoder layer with the parts of layer normalization written out, as before version 17."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.up, self.down = nn.Linear(16, 24), nn.Linear(24, 16)

    def forward(self, x):
        y, _ = self.attention(x, x, x, need_weights=False)
        x = self.norm(x + y)
        x = self.norm(x + self.down(nn.functional.gelu(self.up(x))))
        return x, x.mean(1).argmax(-1)


def encoder():
    torch_case("encoder", Old(), (1, 6, 16), opset=14, outputs=("y", "class"))


def sk_case(name, model, features, options=None, last=None):
    from skl2onnx import to_onnx

    onnx_model = to_onnx(model, np.zeros((1, features), np.float32), options=options, target_opset={"": 15, "ai.onnx.ml": 3})
    onnx_model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    generator = np.random.default_rng(4)
    samples = [{"X": generator.uniform(0, 10, (1, features)).astype(np.float32)} for _ in range(40)]
    write(name, onnx_model, samples)


def forests():
    from sklearn.datasets import make_classification, make_regression
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )

    x, y = make_classification(300, 6, n_informative=5, n_redundant=0, n_classes=3, random_state=0)
    x = (x - x.min(0)) / (x.max(0) - x.min(0)) * 10
    plain = {"zipmap": False}
    forest = RandomForestClassifier(8, max_depth=4, random_state=0).fit(x, y)
    sk_case("forest", forest, 6, {id(forest): plain})
    two = RandomForestClassifier(10, max_depth=4, random_state=0).fit(x, y > 0)
    sk_case("forest_two", two, 6, {id(two): plain})
    boosted = GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=0).fit(x, y)
    sk_case("boosted", boosted, 6, {id(boosted): plain})
    boosted_two = GradientBoostingClassifier(n_estimators=12, max_depth=3, random_state=0).fit(x, y > 0)
    sk_case("boosted_two", boosted_two, 6, {id(boosted_two): plain})
    x, y = make_regression(300, 6, random_state=0)
    x = (x - x.min(0)) / (x.max(0) - x.min(0)) * 10
    sk_case("forest_number", RandomForestRegressor(8, max_depth=4, random_state=0).fit(x, y), 6)
    sk_case("boosted_number", GradientBoostingRegressor(n_estimators=15, max_depth=3, random_state=0).fit(x, y), 6)


def rules():
    """Every kind of comparison, and leaves that float sums cannot round: sums must be equal to the last bit."""
    modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    columns = {key: [] for key in ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"]}
    targets = {key: [] for key in ["treeids", "nodeids", "ids", "weights"]}
    generator = np.random.default_rng(5)

    def node(tree, index, feature, value, mode, yes, no):
        for key, entry in zip(columns, [tree, index, feature, value, mode, yes, no]):
            columns[key].append(entry)

    for tree, mode in enumerate(modes * 2):
        node(tree, 0, tree % 3, float(generator.integers(0, 4)), mode, 1, 2)
        node(tree, 1, (tree + 1) % 3, float(generator.integers(0, 4)), modes[(tree + 1) % 6], 3, 4)
        for leaf in [2, 3, 4]:
            node(tree, leaf, 0, 0.0, "LEAF", 0, 0)
            for target in range(2):
                weight = float(generator.integers(-64, 64)) / 16
                for key, entry in zip(targets, [tree, leaf, target, weight]):
                    targets[key].append(entry)
    attributes = {f"nodes_{key}": value for key, value in columns.items()}
    attributes |= {f"target_{key}": value for key, value in targets.items()}
    tree = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=2, base_values=[0.5, -1.25], **attributes
    )
    graph = helper.make_graph(
        [tree],
        "rules",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
    )
    sets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=8)
    samples = [{"x": generator.integers(-1, 5, (1, 3)).astype(np.float32)} for _ in range(60)]
    write("rules", model, samples)


CASES = [mlp, cnn, series, lstm, gru, bert, encoder, forests, rules]

if __name__ == "__main__":
    for case in CASES:
        if len(sys.argv) == 1 or case.__name__ in sys.argv[1:]:
            torch.manual_seed(0)
            case()
