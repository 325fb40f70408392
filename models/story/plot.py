"""Draws `loss.csv` as `loss.svg`."""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "story"
from matplotlib import pyplot  # noqa: E402

HERE = Path(__file__).parent
rows = list(csv.DictReader((HERE / "loss.csv").open()))
tokens = [int(row["tokens"]) / 1e6 for row in rows]
figure, axes = pyplot.subplots(figsize=(6, 3))
axes.plot(tokens, [float(row["training_loss"]) for row in rows], label="training (with questions at weight 0.2)")
axes.plot(tokens, [float(row["held_out_loss"]) for row in rows], label="held out (answers and stories)")
axes.set(xlabel="million tokens seen", ylabel="nats a token", ylim=(0, 4))
axes.grid(alpha=0.3)
axes.legend()
figure.tight_layout()
figure.savefig(HERE / "loss.svg", metadata={"Date": None})
