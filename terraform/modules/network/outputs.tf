output "vpc_id" {
  value = aws_vpc.this.id
}

output "subnet_ids" {
  description = "By kind: private, database, public, and one for each class of egress (openai, openai-snowflake, identity)."
  value       = { for kind in local.kinds : kind => [for key, subnet in local.subnets : aws_subnet.this[key].id if subnet.kind == kind] }
}

output "endpoints_group_id" {
  value = aws_security_group.endpoints.id
}

output "s3_prefix_list_id" {
  value = aws_vpc_endpoint.s3.prefix_list_id
}

output "cidr" {
  value = aws_vpc.this.cidr_block
}
