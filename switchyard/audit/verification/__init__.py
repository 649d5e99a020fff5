"""What must hold between rows, log index and checkpoints."""
