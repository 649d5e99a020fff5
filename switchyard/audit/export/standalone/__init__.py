"""For the auditor: programs that import nothing of this project."""
