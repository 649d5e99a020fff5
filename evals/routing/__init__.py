"""The routing agent's evals: generated instances, committed references, an independent check of plans."""
