# A consumer of the catalogue: a process with a queue and rules of its own, scaled by the backlog.

module "process" {
  source        = "../process"
  shared        = var.shared
  task          = var.task
  node          = var.node
  process       = var.consumer
  load_balancer = var.load_balancer
}
