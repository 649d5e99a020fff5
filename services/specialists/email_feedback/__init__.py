"""Email feedback: opt-outs of recipients, and bounces and complaints from the provider. It sends no emails."""
