# A consumer of the catalogue: a process with a queue and rules of its own, scaled by the backlog.

module "process" {
  source             = "../process"
  node               = var.node
  process            = var.consumer
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
  load_balancer      = var.load_balancer
}
