"""The judge: marks a sample of the answered cases after their end, and changes none."""
