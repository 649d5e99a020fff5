"""What every command shares: target, console, database login."""
