"""What the demo and the local stack use in place of the world."""
