output "endpoint" {
  value = "http://${aws_service_discovery_service.collector.name}.${aws_service_discovery_private_dns_namespace.this.name}:4318"
}

output "namespace_id" {
  value = aws_service_discovery_private_dns_namespace.this.id
}

output "collector_group_id" {
  value = aws_security_group.collector.id
}

output "logs_key_arn" {
  value = aws_kms_key.logs.arn
}

output "alerts_topic_arn" {
  value = aws_sns_topic.alerts.arn
}

output "cluster" {
  value = { name = aws_ecs_cluster.this.name, arn = aws_ecs_cluster.this.arn }
}
