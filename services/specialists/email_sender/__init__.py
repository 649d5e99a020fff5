"""The email sender: sends an email that has passed, once, and says what became of it."""
