"""Evals: labelled questions, and a runner that scores the real agents on any model."""
