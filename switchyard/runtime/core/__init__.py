"""Clock, errors, logs, settings and the event loop that every process shares."""
