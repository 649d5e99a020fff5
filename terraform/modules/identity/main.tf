# The identity service: a process without a queue, called over mutual TLS by agents and by the ingress. It terminates
# TLS itself: no load balancer is in between, and its name resolves to its tasks.

resource "aws_service_discovery_service" "this" {
  name = var.server.name
  dns_config {
    namespace_id   = var.namespace_id
    routing_policy = "MULTIVALUE"
    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}

module "process" {
  source             = "../process"
  node               = var.node
  process            = var.server
  generated          = var.generated
  facts              = var.facts
  extra_environment  = var.extra_environment
  image              = var.image
  architecture       = var.architecture
  size               = var.size
  frozen             = var.frozen
  logs_key_arn       = var.logs_key_arn
  alerts_topic_arn   = var.alerts_topic_arn
  log_days           = var.log_days
  cluster            = var.cluster
  network            = var.network
  database_group_ids = var.database_group_ids
  registry_arn       = aws_service_discovery_service.this.arn
}
