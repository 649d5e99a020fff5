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

output "owner_secret_arn" {
  description = "The secret in which RDS keeps the owner's first password."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "key_arn" {
  value = aws_kms_key.this.arn
}
