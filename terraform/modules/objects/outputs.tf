output "bucket" {
  value = aws_s3_bucket.this.bucket
}

output "objects_key_arn" {
  value = aws_kms_key.objects.arn
}

output "vault_key_arn" {
  value = aws_kms_key.vault.arn
}
