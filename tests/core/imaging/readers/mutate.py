"""Broken files by the dozen: deterministic mutations of good ones."""

import numpy as np


def mutate(data: bytes, seed: int) -> bytes:
    """One of: flipped bytes, extreme numbers written over, cut off, a stretch removed, repeated or zeroed."""
    rng = np.random.default_rng(seed)
    body = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if len(body) < 4:
            break
        # headers are where it hurts: half of all places are in the first kilobyte
        reach = len(body) if rng.random() < 0.5 else min(len(body), 1024)
        at = int(rng.integers(0, reach))
        length = int(rng.integers(1, 64))
        kind = rng.integers(0, 7)
        if kind == 0:
            for place in rng.integers(0, reach, size=int(rng.integers(1, 20))):
                body[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            extremes = (
                b"\xff\xff\xff\xff",
                b"\x00\x00\x00\x00",
                b"\x7f\xff\xff\xff",
                b"\xff\xff\xff\x7f",
                b"\x00\x80",
            )
            value = extremes[int(rng.integers(len(extremes)))]
            body[at : at + len(value)] = value
        elif kind == 2 and rng.random() < 0.3:
            del body[at:]
        elif kind == 3:
            del body[at : at + length]
        elif kind == 4:
            body[at:at] = body[at : at + length] * int(rng.integers(1, 5))
        elif kind == 5:
            body[at : at + length] = bytes(min(length, len(body) - at))
        else:
            body[at : at + length] = rng.bytes(min(length, len(body) - at))
    return bytes(body)
