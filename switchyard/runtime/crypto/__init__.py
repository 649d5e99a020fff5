"""The vault of subject keys, erasure, signatures and tokens."""
