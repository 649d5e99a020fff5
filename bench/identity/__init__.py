"""What acting on behalf of the user adds to a step."""
