"""The compliance gate: decides whether a person may be contacted, an email keeps every rule, and it may be sent now."""
