"""The identity service: a token per task, in the name of the user who asked."""
