output "bucket" {
  value = aws_s3_bucket.this.bucket
}

output "key_arn" {
  value = aws_kms_key.this.arn
}

output "rows_key_arn" {
  value = aws_kms_key.rows.arn
}

output "receipts_key_arn" {
  value = aws_kms_key.receipts.arn
}

output "public_keys" {
  description = "What checkpoints and receipts are verified with, as base64 of the DER. Keep them outside this account, too."
  value       = { for name, key in data.aws_kms_public_key.this : name => key.public_key }
}
