output "queue_arn" {
  value = aws_sqs_queue.this[var.consumer.queue].arn
}

output "security_group_id" {
  value = module.process.security_group_id
}

output "log_group" {
  value = module.process.log_group
}

output "bounds" {
  description = "The fewest and the most tasks that autoscaling may run."
  value       = module.process.bounds
}
