"""Documents that the services exchange: account facts, disclosures, findings, reviews, opt-out links."""
