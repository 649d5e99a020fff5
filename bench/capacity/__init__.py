"""What a million cases cost, what it costs when nothing runs, and which quota binds first."""
