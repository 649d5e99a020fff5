"""Data for the local stack: all of it synthetic."""
