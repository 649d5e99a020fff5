"""A campaign of emails: a real run on the local stack, another tenant beside it, and a forecast from its costs."""
