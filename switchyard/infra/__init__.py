"""What runs in AWS: modules in HCL, and what is generated for them from the catalogue and the cards."""
