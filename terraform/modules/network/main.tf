# Tasks have no route to the internet. They reach AWS through endpoints, and a vendor only from the subnets of agents
# whose card names it, through a firewall that filters by host name.

data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

data "aws_availability_zones" "available" {
  state = "available"
}

locals {
  zones   = slice(data.aws_availability_zones.available.names, 0, var.zones)
  classes = sort(distinct([for hosts in var.egress : join("-", hosts) if length(hosts) > 0]))

  # Each kind of subnet has sixteen /24s, so that a new kind or zone changes no existing subnet.
  kinds = concat(["private", "database", "public", "firewall"], local.classes)
  subnets = merge([
    for position, kind in local.kinds : {
      for zone, name in local.zones : "${kind}/${zone}" => {
        kind = kind
        zone = name
        cidr = cidrsubnet(var.cidr, 8, position * 16 + zone)
      }
    }
  ]...)
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = "switchyard" }
}

# The default group: a resource without a group of its own has no access.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "this" {
  for_each                = local.subnets
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.value.zone
  cidr_block              = each.value.cidr
  map_public_ip_on_launch = false
  tags                    = { Name = "switchyard-${each.key}" }
}

resource "aws_route_table" "this" {
  for_each = local.subnets
  vpc_id   = aws_vpc.this.id
  tags     = { Name = "switchyard-${each.key}" }
}

resource "aws_route_table_association" "this" {
  for_each       = local.subnets
  subnet_id      = aws_subnet.this[each.key].id
  route_table_id = aws_route_table.this[each.key].id
}

resource "aws_flow_log" "this" {
  vpc_id          = aws_vpc.this.id
  traffic_type    = "ALL"
  iam_role_arn    = aws_iam_role.flow_logs.arn
  log_destination = aws_cloudwatch_log_group.flow_logs.arn
}

resource "aws_cloudwatch_log_group" "flow_logs" {
  name              = "/switchyard/network"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_iam_role" "flow_logs" {
  name               = "switchyard-flow-logs"
  path               = "/switchyard/"
  assume_role_policy = data.aws_iam_policy_document.flow_logs_assume.json
}

data "aws_iam_policy_document" "flow_logs_assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role_policy" "flow_logs" {
  role   = aws_iam_role.flow_logs.id
  policy = data.aws_iam_policy_document.flow_logs.json
}

data "aws_iam_policy_document" "flow_logs" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["${aws_cloudwatch_log_group.flow_logs.arn}:*"]
  }
}
