"""The unit converter: an amount in one unit becomes the same amount in another."""
