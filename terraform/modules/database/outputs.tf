output "host" {
  value = aws_db_instance.this.address
}

output "resource_id" {
  description = "The instance's identifier in rds-db:connect."
  value       = aws_db_instance.this.resource_id
}

output "security_group_id" {
  value = aws_security_group.this.id
}

output "identifier" {
  value = aws_db_instance.this.identifier
}
