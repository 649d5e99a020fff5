output "queue_arn" {
  value = aws_sqs_queue.this[var.consumer.queue].arn
}

output "task_role_arn" {
  value = aws_iam_role.task.arn
}

output "security_group_id" {
  value = aws_security_group.this.id
}

output "log_group" {
  value = aws_cloudwatch_log_group.this.name
}
