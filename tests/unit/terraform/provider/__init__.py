"""Checks against an extract of the AWS provider's schema, for machines that cannot download the provider."""
