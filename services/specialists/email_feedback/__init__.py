"""Mail: what comes back from the people and the provider that emails go to. It stops emails and sends none."""
