# Each caller may reach the port and nothing else of it, and the certificate says who calls.
resource "aws_vpc_security_group_ingress_rule" "callers" {
  for_each                     = var.callers
  security_group_id            = module.process.security_group_id
  description                  = each.key
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = var.server.port
  to_port                      = var.server.port
}

resource "aws_vpc_security_group_egress_rule" "callers" {
  for_each                     = var.callers
  security_group_id            = each.value
  description                  = "The identity service"
  referenced_security_group_id = module.process.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.server.port
  to_port                      = var.server.port
}
