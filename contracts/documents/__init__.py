"""Documents that the services exchange: account facts, disclosures, reviews, opt-out links."""
