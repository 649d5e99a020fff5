"""The ingress function behind the API: authenticates the user and submits the question in the user's name."""
