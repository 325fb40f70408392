"""Trains the digits model and writes everything in this folder but this script and the texts.

Usage: python train.py [FOLDER]      (FOLDER: where to write, by default this one)

A small convolutional network in plain numpy on scikit-learn's own handwritten digits, exported
to ONNX. Every source of chance is seeded and numpy is held to one thread, so a second run on
the same machine writes the same bytes.
"""

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import hashlib
import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
HELD_OUT_SHARE = 0.25
EPOCHS = 30
BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-4
CHANNELS = (16, 32)
HIDDEN = 64
MINIMUM_ACCURACY = 0.97
EXAMPLES_PER_DIGIT = 2
CALIBRATION_IMAGES = 100


def split():
    """Pixels 0..16 as [n, 8, 8] and labels, for training and held out; no image is in both."""
    digits = load_digits()
    pixels = digits.images.astype(np.uint8)
    assert pixels.max() == 16 and np.array_equal(pixels, digits.images)
    return train_test_split(
        pixels,
        digits.target.astype(np.int64),
        test_size=HELD_OUT_SHARE,
        random_state=SEED,
        stratify=digits.target,
    )


def to_input(pixels):
    """What the model is fed: [n, 1, 8, 8], values 0..1."""
    return pixels[:, None].astype(np.float32) / 16


def patches(x):
    """The 3x3 neighbourhood of every position, zero-padded: [n, h, w, channels * 9]."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    n, c, h, w = x.shape
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, h, w, c * 9)


def unpatch(gradient, shape):
    """The transpose of `patches`: adds every neighbourhood's gradient back to its pixels."""
    n, c, h, w = shape
    gradient = gradient.reshape(n, h, w, c, 3, 3)
    padded = np.zeros((n, c, h + 2, w + 2), np.float32)
    for row in range(3):
        for column in range(3):
            padded[:, :, row : row + h, column : column + w] += gradient[
                ..., row, column
            ].transpose(0, 3, 1, 2)
    return padded[:, :, 1:-1, 1:-1]


def initial_weights(rng):
    """He initialisation; biases start at zero."""
    first, second = CHANNELS
    flat = second * 4 * 4

    def normal(*shape, fan_in):
        return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    return {
        "conv1.weight": normal(first, 1, 3, 3, fan_in=9),
        "conv1.bias": np.zeros(first, np.float32),
        "conv2.weight": normal(second, first, 3, 3, fan_in=first * 9),
        "conv2.bias": np.zeros(second, np.float32),
        "hidden.weight": normal(HIDDEN, flat, fan_in=flat),
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "output.weight": normal(10, HIDDEN, fan_in=HIDDEN),
        "output.bias": np.zeros(10, np.float32),
    }


def convolve(x, weight, bias):
    """A 3x3 convolution with zero padding; also what its gradient needs."""
    columns = patches(x)
    out = columns @ weight.reshape(len(weight), -1).T + bias
    return out.transpose(0, 3, 1, 2), columns


def convolve_gradient(gradient, x_shape, columns, weight):
    """Gradients with respect to input, weight and bias."""
    out = gradient.transpose(0, 2, 3, 1)
    flat = out.reshape(-1, len(weight))
    weight_gradient = flat.T @ columns.reshape(len(flat), -1)
    x_gradient = unpatch(out @ weight.reshape(len(weight), -1), x_shape)
    return x_gradient, weight_gradient.reshape(weight.shape), flat.sum(0)


def loss_and_gradients(weights, x, labels):
    """Mean cross-entropy of a batch, and its gradient for every weight."""
    n = len(x)
    a1, columns1 = convolve(x, weights["conv1.weight"], weights["conv1.bias"])
    h1 = np.maximum(a1, 0)
    a2, columns2 = convolve(h1, weights["conv2.weight"], weights["conv2.bias"])
    h2 = np.maximum(a2, 0)
    blocks = h2.reshape(n, CHANNELS[1], 4, 2, 4, 2)
    pooled = blocks.max(axis=(3, 5))
    flat = pooled.reshape(n, -1)
    a3 = flat @ weights["hidden.weight"].T + weights["hidden.bias"]
    h3 = np.maximum(a3, 0)
    logits = h3 @ weights["output.weight"].T + weights["output.bias"]
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))

    g = {}
    d = np.exp(log_p)
    d[np.arange(n), labels] -= 1
    d /= n
    g["output.weight"], g["output.bias"] = d.T @ h3, d.sum(0)
    d = (d @ weights["output.weight"]) * (a3 > 0)
    g["hidden.weight"], g["hidden.bias"] = d.T @ flat, d.sum(0)
    d = (d @ weights["hidden.weight"]).reshape(pooled.shape)[:, :, :, None, :, None]
    winners = blocks == pooled[:, :, :, None, :, None]
    d = (d * winners / winners.sum((3, 5), keepdims=True)).reshape(h2.shape) * (a2 > 0)
    d, g["conv2.weight"], g["conv2.bias"] = convolve_gradient(
        d, h1.shape, columns2, weights["conv2.weight"]
    )
    _, g["conv1.weight"], g["conv1.bias"] = convolve_gradient(
        d * (a1 > 0), x.shape, columns1, weights["conv1.weight"]
    )
    return -log_p[np.arange(n), labels].mean(), g


def shifted(x, rng):
    """Every image moved by up to one pixel each way, as people write off-centre."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = rng.integers(0, 3, (len(x), 2))
    return np.stack([p[:, r : r + 8, c : c + 8] for p, (r, c) in zip(padded, moves)])


def train(x, labels, rng):
    """Adam with decoupled weight decay and a linearly falling rate; returns the weights."""
    weights = initial_weights(rng)
    mean = {name: np.zeros_like(w) for name, w in weights.items()}
    square = {name: np.zeros_like(w) for name, w in weights.items()}
    steps = EPOCHS * -(-len(x) // BATCH)
    step = 0
    for epoch in range(EPOCHS):
        order = rng.permutation(len(x))
        total = 0.0
        for start in range(0, len(x), BATCH):
            batch = order[start : start + BATCH]
            loss, gradients = loss_and_gradients(weights, shifted(x[batch], rng), labels[batch])
            total += float(loss) * len(batch)
            rate = LEARNING_RATE * (1 - step / steps)
            step += 1
            for name, g in gradients.items():
                mean[name] = 0.9 * mean[name] + 0.1 * g
                square[name] = 0.999 * square[name] + 0.001 * g * g
                update = (mean[name] / (1 - 0.9**step)) / (
                    np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8
                )
                weights[name] = (
                    weights[name] - rate * (update + WEIGHT_DECAY * weights[name])
                ).astype(np.float32)
        print(f"epoch {epoch + 1:2}: loss {total / len(x):.4f}")
    return weights


def to_onnx(weights):
    """The network as an ONNX model: `image` [1,1,8,8] to `probabilities` [1,10]."""
    node = helper.make_node
    convolution = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1"], **convolution),
        node("Relu", ["conv1"], ["relu1"]),
        node("Conv", ["relu1", "conv2.weight", "conv2.bias"], ["conv2"], **convolution),
        node("Relu", ["conv2"], ["relu2"]),
        node("MaxPool", ["relu2"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pool"], ["flat"], axis=1),
        node("Gemm", ["flat", "hidden.weight", "hidden.bias"], ["hidden"], transB=1),
        node("Relu", ["hidden"], ["relu3"]),
        node("Gemm", ["relu3", "output.weight", "output.bias"], ["logits"], transB=1),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    for entry in nodes:
        entry.name = entry.output[0]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(weights[name], name) for name in sorted(weights)],
    )
    model = helper.make_model(
        graph,
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
        producer_name="models/digits/train.py",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def accuracy(model, pixels, labels):
    """Share of images that the exported file (not the training code) names rightly."""
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(model)
    answers = [
        int(session.run(None, {"image": image[None]})[0].argmax()) for image in to_input(pixels)
    ]
    return float(np.mean(np.array(answers) == labels))


def write_held_out(folder, pixels, labels):
    """The held-out set as text: one image a line, the label, then 64 pixels row by row."""
    lines = [
        ",".join(str(int(value)) for value in (label, *image.ravel()))
        for image, label in zip(pixels, labels)
    ]
    (folder / "held_out.csv").write_text("\n".join(lines) + "\n")


def write_calibration(folder, pixels):
    """Some training images as the model is fed them, one a line: on these the conversion measures ranges of values."""
    lines = [",".join(f"{value:g}" for value in image.ravel()) for image in to_input(pixels[:CALIBRATION_IMAGES])]
    (folder / "calibration.csv").write_text("\n".join(lines) + "\n")


def write_examples(folder, pixels, labels):
    """The first held-out images of every digit as 8x8 grey PNGs, pixel 16 being white (255)."""
    (folder / "examples").mkdir(parents=True, exist_ok=True)
    names = {}
    for digit in range(10):
        for count, index in enumerate(np.flatnonzero(labels == digit)[:EXAMPLES_PER_DIGIT], 1):
            name = f"{digit}-{count}.png"
            grey = (pixels[index].astype(np.uint16) * 255 + 8) // 16
            Image.fromarray(grey.astype(np.uint8)).save(folder / "examples" / name)
            names[name] = digit
    (folder / "examples" / "labels.json").write_text(json.dumps(names, indent=2) + "\n")


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    folder = folder.parent if folder.is_file() else folder
    train_pixels, held_out_pixels, train_labels, held_out_labels = split()
    weights = train(to_input(train_pixels), train_labels, np.random.default_rng(SEED))
    model = to_onnx(weights)
    reached = accuracy(model, held_out_pixels, held_out_labels)
    print(f"{len(train_labels)} images trained on, {len(held_out_labels)} held out")
    print(f"held-out accuracy {reached:.4f}")
    if reached < MINIMUM_ACCURACY:
        sys.exit(f"below {MINIMUM_ACCURACY}: nothing written")
    write_examples(folder, held_out_pixels, held_out_labels)
    write_held_out(folder, held_out_pixels, held_out_labels)
    write_calibration(folder, train_pixels)
    file = model.SerializeToString(deterministic=True)
    (folder / "digits.onnx").write_bytes(file)
    print(f"digits.onnx: {len(file)} bytes, sha256 {hashlib.sha256(file).hexdigest()}")


if __name__ == "__main__":
    main()
