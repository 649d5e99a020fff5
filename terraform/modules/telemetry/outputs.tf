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
  description = "Where services run; `insights`: whether running tasks are counted; `spot`: whether AWS may take a task away."
  value = {
    name     = aws_ecs_cluster_capacity_providers.this.cluster_name
    arn      = aws_ecs_cluster.this.arn
    insights = var.container_insights
    spot     = var.spot
  }
}
