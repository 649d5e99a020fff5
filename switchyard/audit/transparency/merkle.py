"""Merkle trees of RFC 9162, section 2.1: leaves and nodes are hashed differently, an odd node moves up. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf; its first byte keeps it from being taken for a node."""
    return hashlib.sha256(b"\x00" + data).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes. Raises `ValueError` without any."""
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    level = list(leaves)
    while len(level) > 1:
        level = _parent_level(level)
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion proof of leaf `index`: the siblings on the way to the root, lowest first. Raises `IndexError`."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    level, path = list(leaves), []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, index = _parent_level(level), index // 2
    return path


def _parent_level(level: list[bytes]) -> list[bytes]:
    pairs = [_node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    # Pairing level by level and moving an odd node up gives RFC 9162's split at the largest power of two.
    return [*pairs, level[-1]] if len(level) % 2 else pairs


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
