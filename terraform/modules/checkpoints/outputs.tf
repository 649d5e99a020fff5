output "bucket" {
  value = aws_s3_bucket.this.bucket
}

output "key_arn" {
  value = aws_kms_key.this.arn
}

output "rows_key_arn" {
  value = aws_kms_key.rows.arn
}
