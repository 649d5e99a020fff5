"""From a message to its one outcome: consumer, inbox, publisher, dead letters, quarantine."""
