output "configuration_set" {
  value = aws_sesv2_configuration_set.this.configuration_set_name
}

output "load_balancer" {
  # ECS rejects a service whose target group has no load balancer yet.
  depends_on = [aws_lb_listener.this]
  value      = { target_group_arn = aws_lb_target_group.this.arn, security_group_id = aws_security_group.this.id }
}

output "records" {
  description = "The DNS records of the domain: DKIM, the bounce domain, DMARC, and the name of the opt-out page."
  value = {
    dkim    = [for token in aws_sesv2_email_identity.this.dkim_signing_attributes[0].tokens : "${token}._domainkey.${var.domain} CNAME ${token}.dkim.amazonses.com"]
    mx      = "bounce.${var.domain} MX 10 feedback-smtp.${data.aws_region.current.region}.amazonses.com"
    spf     = "bounce.${var.domain} TXT \"v=spf1 include:amazonses.com -all\""
    dmarc   = "_dmarc.${var.domain} TXT \"v=DMARC1; p=reject; adkim=s\""
    opt_out = aws_lb.this.dns_name
  }
}

output "sending_enabled" {
  value = aws_sesv2_configuration_set.this.sending_options[0].sending_enabled
}
