"""What the AWS provider takes, where the provider itself cannot be had: an extract of its schema, and checks by it."""
