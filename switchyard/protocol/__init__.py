"""The wire protocol: envelope, digest, derivation and signed statements. Pure."""
