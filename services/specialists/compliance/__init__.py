"""The compliance gate: may this person be contacted, does this email keep every rule, is now the moment."""
