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
  source       = "../process"
  shared       = var.shared
  task         = var.task
  node         = var.node
  process      = var.server
  registry_arn = aws_service_discovery_service.this.arn
}
