locals {
  interfaces = toset([
    "bedrock-runtime", "sqs", "events", "secretsmanager", "kms", "sts", "ecr.api", "ecr.dkr", "email", "logs", "xray",
  ])
  # What is called there is the account's own. Models, roles and images' layers may be AWS's.
  own_resources = toset(["sqs", "events", "secretsmanager", "kms"])
}

resource "aws_security_group" "endpoints" {
  name        = "switchyard-endpoints"
  description = "AWS endpoints inside the VPC"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id = aws_security_group.endpoints.id
  description       = "HTTPS from the VPC"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# The endpoints reject credentials of other accounts, and queues, buses, secrets and keys of other accounts, so that no
# data leaves with them.
data "aws_iam_policy_document" "endpoints" {
  for_each = local.interfaces

  statement {
    actions   = ["*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
    dynamic "condition" {
      for_each = contains(local.own_resources, each.key) ? ["aws:ResourceAccount"] : []
      content {
        test     = "StringEquals"
        variable = condition.value
        values   = [data.aws_caller_identity.current.account_id]
      }
    }
  }
}

# Some services lack an endpoint in some zones.
data "aws_vpc_endpoint_service" "interface" {
  for_each     = local.interfaces
  service_name = "com.amazonaws.${data.aws_region.current.region}.${each.key}"
  service_type = "Interface"
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = local.interfaces
  vpc_id              = aws_vpc.this.id
  service_name        = data.aws_vpc_endpoint_service.interface[each.key].service_name
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids = [
    for key, subnet in local.subnets : aws_subnet.this[key].id
    if subnet.kind == "private" && contains(slice(local.zones, 0, var.endpoint_zones), subnet.zone) && contains(data.aws_vpc_endpoint_service.interface[each.key].availability_zones, subnet.zone)
  ]
  security_group_ids = [aws_security_group.endpoints.id]
  policy             = data.aws_iam_policy_document.endpoints[each.key].json
  tags               = { Name = "switchyard-${each.key}" }
}

# No policy on the S3 endpoint: image layers come from buckets of AWS's account, by presigned requests.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for key, subnet in local.subnets : aws_route_table.this[key].id if !contains(["database", "public", "firewall"], subnet.kind)]
  tags              = { Name = "switchyard-s3" }
}
