"""Log index, Merkle trees and signed checkpoints (RFC 9162 terms)."""
