"""The function behind the API: it checks who asks, and submits the question under that name."""
