# The root module of every environment and every application; *.tfvars has the values, backend.*.hcl that of the state:
#   terraform init -reconfigure -backend-config=backend.dev.hcl
#   terraform apply -var-file=dev.tfvars

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.69"
    }
  }

  # The state has no secret values, but every name: the bucket is encrypted and versioned, and has a lock.
  backend "s3" {}
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account]

  default_tags {
    tags = { system = "switchyard", environment = var.environment }
  }
}

module "github_oidc" {
  source          = "./modules/github_oidc"
  repository      = var.repository
  environment     = var.environment
  create_provider = var.create_github_provider
  images          = toset(concat(["cli", "collector"], [for process in local.processes : process.name]))
  keep_images     = var.keep_images
}

module "secrets" {
  source  = "./modules/secrets"
  secrets = local.topology.secrets
}

module "bus" {
  source           = "./modules/bus"
  name             = local.topology.bus
  sources          = local.topology.sources
  upstreams        = var.upstreams
  alerts_topic_arn = module.telemetry.alerts_topic_arn
}

module "objects" {
  source          = "./modules/objects"
  bucket          = var.objects_bucket
  quarantine_days = var.quarantine_days
}

module "checkpoints" {
  source    = "./modules/checkpoints"
  bucket    = var.checkpoints.bucket
  lock_mode = var.checkpoints.lock_mode
  keep_days = var.checkpoints.keep_days
}

module "network" {
  source            = "./modules/network"
  cidr              = var.cidr
  zones             = var.zones
  egress            = merge({ for node, process in local.processes : node => process.egress }, { for _ in local.ingress : "ingress" => ["identity"] })
  hosts             = var.hosts
  firewall          = var.firewall
  endpoint_zones    = var.endpoint_zones
  delete_protection = var.deletion_protection
  logs_key_arn      = module.telemetry.logs_key_arn
  log_days          = var.log_days
}

module "telemetry" {
  source             = "./modules/telemetry"
  collector_image    = local.images.collector
  collectors         = var.collectors
  container_insights = var.container_insights
  spot               = var.spot
  architecture       = var.architecture
  alert_emails       = var.alert_emails
  log_days           = var.log_days
  network = {
    vpc_id             = module.network.vpc_id
    cidr               = module.network.cidr
    subnet_ids         = module.network.subnet_ids["private"]
    endpoints_group_id = module.network.endpoints_group_id
    s3_prefix_list_id  = module.network.s3_prefix_list_id
  }
}

module "work_db" {
  source              = "./modules/database"
  name                = "work"
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.subnet_ids["database"]
  alerts_topic_arn    = module.telemetry.alerts_topic_arn
  engine_version      = var.postgres_version
  instance_class      = var.work_db.instance_class
  storage_gb          = var.work_db.storage_gb
  max_connections     = var.work_db.max_connections
  wanted_connections  = local.wanted_connections.work
  logs_key_arn        = module.telemetry.logs_key_arn
  log_days            = var.log_days
  multi_az            = var.multi_az
  backup_days         = var.backup_days
  deletion_protection = var.deletion_protection
}

module "audit_db" {
  source              = "./modules/database"
  name                = "audit"
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.subnet_ids["database"]
  alerts_topic_arn    = module.telemetry.alerts_topic_arn
  engine_version      = var.postgres_version
  instance_class      = var.audit_db.instance_class
  storage_gb          = var.audit_db.storage_gb
  max_connections     = var.audit_db.max_connections
  wanted_connections  = local.wanted_connections.audit
  logs_key_arn        = module.telemetry.logs_key_arn
  log_days            = var.log_days
  multi_az            = var.multi_az
  backup_days         = var.backup_days
  deletion_protection = var.deletion_protection
}

module "email" {
  source              = "./modules/email"
  count               = var.email == null ? 0 : 1
  domain              = var.email.domain
  sending_enabled     = var.email.sending_enabled && !contains(local.frozen, "email_sender")
  certificate_arn     = var.email.certificate_arn
  vpc_id              = module.network.vpc_id
  vpc_cidr            = module.network.cidr
  public_subnet_ids   = module.network.subnet_ids["public"]
  port                = try(local.topology.consumers.email_feedback.port, null)
  alerts_topic_arn    = module.telemetry.alerts_topic_arn
  deletion_protection = var.deletion_protection
  logs_key_arn        = module.telemetry.logs_key_arn
  log_days            = min(var.log_days, 30) # unknown outcomes are resolved within days
}

# Each consumer of the catalogue has a queue, a service and a role; none is listed by hand.
module "agent" {
  source           = "./modules/agent"
  for_each         = local.topology.consumers
  node             = each.key
  consumer         = each.value
  shared           = local.shared
  task             = local.tasks[each.key]
  queues           = local.topology.queues
  queues_key_arn   = module.bus.queues_key_arn
  oldest_message_s = lookup(var.oldest_message_s, each.key, var.oldest_message_s["default"])
  load_balancer    = each.value.port == null ? null : one(module.email[*].load_balancer)
}

# Called by the ingress, which registers grants, and by the agents, which redeem them.
module "identity" {
  source       = "./modules/identity"
  for_each     = { for node, server in local.servers : node => server if node == "identity" }
  node         = each.key
  server       = each.value
  shared       = local.shared
  task         = local.tasks[each.key]
  namespace_id = module.telemetry.namespace_id
  callers = merge(
    { for ingress in module.ingress : "ingress" => ingress.security_group_id },
    { for node in each.value.callers : node => module.agent[node].security_group_id },
  )
}

# What people and callers reach over HTTP; each answers its health check without a database.
module "web" {
  source                   = "./modules/web"
  for_each                 = { for node, place in local.places : node => place if contains(keys(local.servers), node) }
  node                     = each.key
  server                   = local.servers[each.key]
  shared                   = local.shared
  task                     = local.tasks[each.key]
  health_check             = local.health_checks[each.key]
  callers                  = toset(each.value.networks)
  certificate_arn          = each.value.certificate_arn
  load_balancer_subnet_ids = module.network.subnet_ids["private"]
  deletion_protection      = var.deletion_protection
}

# People, scheduled jobs and `switchyard migrate`.
module "operations" {
  source              = "./modules/operations"
  operations          = local.topology.operations
  generated           = local.generated
  facts               = local.facts
  extra_environment   = lookup(var.settings, "operations", {})
  image               = local.images.cli
  architecture        = var.architecture
  jobs_enabled        = length(var.frozen) == 0
  database_group_ids  = local.database_group_ids
  stop_publishing_arn = module.bus.stop_publishing_arn
  alerts_topic_arn    = module.telemetry.alerts_topic_arn
  logs_key_arn        = module.telemetry.logs_key_arn
  log_days            = var.log_days
  cluster             = module.telemetry.cluster
  network = {
    vpc_id             = module.network.vpc_id
    subnet_ids         = module.network.subnet_ids["private"]
    endpoints_group_id = module.network.endpoints_group_id
    s3_prefix_list_id  = module.network.s3_prefix_list_id
  }
}

module "trail" {
  source    = "./modules/trail"
  bucket    = var.trail.bucket
  keep_days = var.trail.keep_days
  bus_arn   = module.bus.arn
  buckets   = [module.objects.bucket, module.checkpoints.bucket]
}

module "ingress" {
  source           = "./modules/ingress"
  count            = length(local.ingress)
  bus              = module.bus.name
  event_source     = local.topology.ingress_source
  routes           = local.topology.ingress_routes
  generated        = local.generated
  facts            = local.facts
  package          = var.ingress.package
  identity         = var.ingress.identity
  grant_policy     = var.ingress.grant_policy
  reviewer_roles   = local.topology.answer_readers
  stage            = var.environment
  rate             = var.ingress.rate
  caller_limit     = var.ingress.caller_limit
  user_requests    = var.ingress.user_requests
  tenant_requests  = var.ingress.tenant_requests
  concurrency      = var.ingress.concurrency
  architecture     = var.architecture
  alerts_topic_arn = module.telemetry.alerts_topic_arn
  logs_key_arn     = module.telemetry.logs_key_arn
  log_days         = var.log_days
  network = {
    vpc_id             = module.network.vpc_id
    subnet_ids         = module.network.subnet_ids["identity"]
    endpoints_group_id = module.network.endpoints_group_id
  }
}

module "dashboards" {
  source           = "./modules/dashboards"
  agents           = toset([for node, consumer in local.topology.consumers : node if consumer.calls_models])
  outcomes         = local.topology.outcomes
  objectives       = var.objectives
  cases_log_group  = module.agent["case_manager"].log_group
  alerts_topic_arn = module.telemetry.alerts_topic_arn
  bus              = module.bus.name
  region           = var.region
  consumers        = { for node, consumer in local.topology.consumers : node => { queues = concat([consumer.queue], consumer.lanes), dead_letter_queue = consumer.dead_letter_queue } }
  logs_key_arn     = module.telemetry.logs_key_arn
  log_days         = var.log_days
}
