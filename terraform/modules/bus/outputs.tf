output "name" {
  value = aws_cloudwatch_event_bus.this.name
}

output "arn" {
  value = aws_cloudwatch_event_bus.this.arn
}

output "queues_key_arn" {
  value = aws_kms_key.queues.arn
}

output "stop_publishing_arn" {
  value = aws_iam_policy.stop_publishing.arn
}
