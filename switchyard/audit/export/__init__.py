"""A case with its proof, for an auditor."""
