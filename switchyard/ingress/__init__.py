"""The ingress function behind the API: authenticates the user and submits the case in the user's name."""
