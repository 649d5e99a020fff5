"""One process: composition, health endpoint, web server."""
