"""Writes `data/blocks.bin`: for Q8_0, Q4_0, Q4_K and Q6_K two blocks' bytes and the floats that gguf reads from them.

Bytes are random, scales small. Requires gguf==0.19.0 and numpy.
"""
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as T, quants

generator = np.random.default_rng(0)
out = b""
for kind, size, scales in [(T.Q8_0, 34, [0]), (T.Q4_0, 18, [0]), (T.Q4_K, 144, [0, 2]), (T.Q6_K, 210, [208])]:
    blocks = generator.integers(0, 256, (2, size), dtype=np.uint8)
    for block, sign in zip(blocks, [1, -1]):
        for at in scales:
            scale = np.float16(sign * (0.01 + 0.001 * at))
            block[at : at + 2] = np.frombuffer(scale.tobytes(), dtype=np.uint8)
    floats = quants.dequantize(blocks.reshape(-1), kind).astype("<f4")
    out += blocks.tobytes() + floats.tobytes()
pathlib.Path(__file__).with_name("data").joinpath("blocks.bin").write_bytes(out)
