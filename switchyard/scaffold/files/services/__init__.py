"""What acme deploys."""
