"""The transparency log: entries, Merkle trees and signed checkpoints (RFC 9162 terms)."""
