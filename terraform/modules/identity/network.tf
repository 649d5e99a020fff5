resource "aws_security_group" "this" {
  name        = "switchyard-${var.server.name}"
  description = "Egress of ${var.server.name}"
  vpc_id      = var.network.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  security_group_id            = aws_security_group.this.id
  description                  = "AWS, through its endpoints"
  referenced_security_group_id = var.network.endpoints_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  security_group_id = aws_security_group.this.id
  description       = "S3, through its gateway"
  prefix_list_id    = var.network.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "collector" {
  security_group_id            = aws_security_group.this.id
  description                  = "OTLP"
  referenced_security_group_id = var.network.collector_group_id
  ip_protocol                  = "tcp"
  from_port                    = 4318
  to_port                      = 4318
}

resource "aws_vpc_security_group_egress_rule" "identity" {
  security_group_id = aws_security_group.this.id
  description       = "The identity provider and the token exchange; the firewall limits the hosts"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "database" {
  security_group_id            = aws_security_group.this.id
  description                  = "Its own schema"
  referenced_security_group_id = var.database_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = var.database_group_id
  description                  = var.server.name
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# Each caller may reach the port and nothing else of it, and the certificate says who calls.
resource "aws_vpc_security_group_ingress_rule" "callers" {
  for_each                     = var.callers
  security_group_id            = aws_security_group.this.id
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
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = var.server.port
  to_port                      = var.server.port
}
