"""What every command shares: target, settings, options, console, connections, keys."""
