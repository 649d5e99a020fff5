# Per zone: egress subnet -> firewall endpoint -> NAT -> internet, and the same way back. Without a firewall the way out
# is the NAT of the first zone, for trials: any host may be called, and a stolen task may send anywhere.

locals {
  of_class = { for key, subnet in local.subnets : key => subnet if contains(local.classes, subnet.kind) }
  firewall = merge([
    for firewall in aws_networkfirewall_firewall.this : {
      for status in firewall.firewall_status[0].sync_states : status.availability_zone => status.attachment[0].endpoint_id
    }
  ]...)
  nat_zones = { for position, zone in local.zones : zone => position if var.firewall || position == 0 }

  allowed = flatten([
    for class in local.classes : [
      for name in split("-", class) : [
        for host in lookup(var.hosts, name, []) : { class = class, host = host }
      ]
    ]
  ])
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_eip" "nat" {
  for_each = local.nat_zones
  domain   = "vpc"
}

resource "aws_nat_gateway" "this" {
  for_each      = local.nat_zones
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.this["public/${each.value}"].id
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route" "internet" {
  for_each               = { for key, subnet in local.subnets : key => subnet if subnet.kind == "public" }
  route_table_id         = aws_route_table.this[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route" "nat" {
  for_each               = { for key, subnet in local.subnets : key => subnet if subnet.kind == "firewall" && var.firewall }
  route_table_id         = aws_route_table.this[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.value.zone].id
}

resource "aws_route" "out" {
  for_each               = local.of_class
  route_table_id         = aws_route_table.this[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  vpc_endpoint_id        = var.firewall ? local.firewall[each.value.zone] : null
  nat_gateway_id         = var.firewall ? null : aws_nat_gateway.this[local.zones[0]].id
}

resource "aws_route" "back" {
  for_each               = { for key, subnet in local.of_class : key => subnet if var.firewall }
  route_table_id         = aws_route_table.this["public/${index(local.zones, each.value.zone)}"].id
  destination_cidr_block = each.value.cidr
  vpc_endpoint_id        = local.firewall[each.value.zone]
}

resource "aws_networkfirewall_rule_group" "hosts" {
  count    = var.firewall ? 1 : 0
  name     = "switchyard-hosts"
  type     = "STATEFUL"
  capacity = 100

  rule_group {
    stateful_rule_options {
      rule_order = "STRICT_ORDER"
    }
    rules_source {
      # A host with a leading dot matches every subdomain.
      rules_string = join("\n", [
        for position, each in local.allowed : join("", [
          "pass tls [${join(",", [for subnet in local.subnets : subnet.cidr if subnet.kind == each.class])}] any -> $EXTERNAL_NET 443 ",
          "(ssl_state:client_hello; tls.sni; content:\"${each.host}\"; ${startswith(each.host, ".") ? "" : "startswith; "}endswith; nocase; ",
          "flow:to_server, established; sid:${1000 + position};)",
        ])
      ])
    }
  }
}

resource "aws_networkfirewall_firewall_policy" "this" {
  count = var.firewall ? 1 : 0
  name  = "switchyard"

  firewall_policy {
    stateless_default_actions          = ["aws:forward_to_sfe"]
    stateless_fragment_default_actions = ["aws:drop"]
    # Traffic without a matching rule is dropped and logged once its ClientHello is complete: with post-quantum keys
    # it is longer than a packet, and the plain "established" actions drop its first part before the host name is known.
    stateful_default_actions = ["aws:drop_established_app_layer", "aws:alert_established_app_layer"]
    stateful_engine_options {
      rule_order              = "STRICT_ORDER"
      stream_exception_policy = "DROP"
    }
    stateful_rule_group_reference {
      priority     = 1
      resource_arn = aws_networkfirewall_rule_group.hosts[0].arn
    }
  }
}

resource "aws_networkfirewall_firewall" "this" {
  count               = var.firewall ? 1 : 0
  name                = "switchyard"
  vpc_id              = aws_vpc.this.id
  firewall_policy_arn = aws_networkfirewall_firewall_policy.this[0].arn
  delete_protection   = var.delete_protection

  dynamic "subnet_mapping" {
    for_each = [for key, subnet in local.subnets : aws_subnet.this[key].id if subnet.kind == "firewall"]
    content {
      subnet_id = subnet_mapping.value
    }
  }
}

resource "aws_networkfirewall_logging_configuration" "this" {
  count        = var.firewall ? 1 : 0
  firewall_arn = aws_networkfirewall_firewall.this[0].arn

  logging_configuration {
    log_destination_config {
      log_destination      = { logGroup = aws_cloudwatch_log_group.flow_logs.name }
      log_destination_type = "CloudWatchLogs"
      log_type             = "ALERT"
    }
  }
}

# Names that are not on the list are not resolved: DNS is a way out that no security group and no firewall sees.
resource "aws_route53_resolver_firewall_domain_list" "allowed" {
  name = "switchyard-allowed"
  domains = concat(
    ["amazonaws.com.", "*.amazonaws.com.", "*.aws.", "*.switchyard.internal.", "*.compute.internal.", "*.ec2.internal."],
    [for host in distinct(flatten(values(var.hosts))) : "${startswith(host, ".") ? "*" : ""}${host}."],
  )
}

resource "aws_route53_resolver_firewall_domain_list" "all" {
  name    = "switchyard-all"
  domains = ["*."]
}

resource "aws_route53_resolver_firewall_rule_group" "this" {
  name = "switchyard"
}

resource "aws_route53_resolver_firewall_rule" "allow" {
  name                               = "allow"
  action                             = "ALLOW"
  priority                           = 1
  firewall_rule_group_id             = aws_route53_resolver_firewall_rule_group.this.id
  firewall_domain_list_id            = aws_route53_resolver_firewall_domain_list.allowed.id
  firewall_domain_redirection_action = "TRUST_REDIRECTION_DOMAIN" # vendors answer with names of their networks
}

resource "aws_route53_resolver_firewall_rule" "block" {
  name                    = "block"
  action                  = "BLOCK"
  block_response          = "NXDOMAIN"
  priority                = 2
  firewall_rule_group_id  = aws_route53_resolver_firewall_rule_group.this.id
  firewall_domain_list_id = aws_route53_resolver_firewall_domain_list.all.id
}

resource "aws_route53_resolver_firewall_rule_group_association" "this" {
  name                   = "switchyard"
  firewall_rule_group_id = aws_route53_resolver_firewall_rule_group.this.id
  vpc_id                 = aws_vpc.this.id
  priority               = 101
}
