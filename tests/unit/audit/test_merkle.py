"""Trees, held to the vectors that Certificate Transparency's implementations share, and proofs to their roots."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.audit.export.standalone.verify_bundle import InvalidBundle, root_from_proof
from switchyard.audit.transparency.merkle import inclusion_proof, leaf_hash, merkle_root

LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""Of the first one, two … leaves: the reference vectors of the certificate-transparency project."""


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert merkle_root([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size - 1]


@given(st.integers(1, 70), st.data())
def test_leaf_is_proved_by_its_own_path_only(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    index, other = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    path = [node.hex() for node in inclusion_proof(leaves, index)]

    assert root_from_proof(leaves[index], index, size, path) == merkle_root(leaves)
    if other != index:
        assert root_from_proof(leaves[other], index, size, path) != merkle_root(leaves)
    with pytest.raises(InvalidBundle, match="too long"):
        root_from_proof(leaves[index], index, size, [*path, "00" * 32])
    if path:
        with pytest.raises(InvalidBundle, match="too short"):
            root_from_proof(leaves[index], index, size, path[:-1])


def test_node_hash_is_not_accepted_as_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")

    assert merkle_root([left, right]) != leaf_hash(left + right)
    assert leaf_hash(b"a") != hashlib.sha256(b"a").digest()


def test_root_of_no_leaves_and_proof_of_an_outside_index_are_errors() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        merkle_root([])
    for index in (-1, 1):
        with pytest.raises(IndexError):
            inclusion_proof([leaf_hash(b"")], index)
