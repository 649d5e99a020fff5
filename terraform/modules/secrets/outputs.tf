output "key_arn" {
  value = aws_kms_key.this.arn
}

output "facts" {
  description = "The ARN of each secret, by its variable in the generated files."
  value       = { for name, secret in aws_secretsmanager_secret.this : "secret_${name}" => secret.arn }
}

output "credentials_key_arn" {
  value = aws_kms_key.credentials.arn
}
