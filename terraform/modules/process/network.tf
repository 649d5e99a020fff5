resource "aws_security_group" "this" {
  name        = "switchyard-${var.process.name}"
  description = "Egress of ${var.process.name}"
  vpc_id      = var.task.network.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  security_group_id            = aws_security_group.this.id
  description                  = "AWS, through its endpoints"
  referenced_security_group_id = var.task.network.endpoints_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  security_group_id = aws_security_group.this.id
  description       = "S3, through its gateway"
  prefix_list_id    = var.task.network.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "collector" {
  security_group_id            = aws_security_group.this.id
  description                  = "OTLP"
  referenced_security_group_id = var.task.network.collector_group_id
  ip_protocol                  = "tcp"
  from_port                    = 4318
  to_port                      = 4318
}

resource "aws_vpc_security_group_egress_rule" "outside" {
  count             = length(var.process.egress) > 0 ? 1 : 0
  security_group_id = aws_security_group.this.id
  description       = "Vendors and identity providers; the firewall limits the hosts per subnet"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "databases" {
  for_each                     = var.task.database_group_ids
  security_group_id            = aws_security_group.this.id
  description                  = "The database ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "databases" {
  for_each                     = var.task.database_group_ids
  security_group_id            = each.value
  description                  = var.process.name
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  count                        = var.load_balancer == null ? 0 : 1
  security_group_id            = aws_security_group.this.id
  description                  = "The load balancer"
  referenced_security_group_id = var.load_balancer.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.process.port
  to_port                      = var.process.port
}
