data "aws_partition" "current" {}

locals {
  generated = "${path.module}/generated"
  topology  = jsondecode(file("${local.generated}/topology.json"))
  # What has a place in the values is deployed: an application may go without the ingress, or without a server.
  ingress   = var.ingress == null ? [] : [var.ingress]
  places    = { for node, place in { console = var.console, api = var.api } : node => place if place != null }
  servers   = { for node, server in local.topology.servers : node => server if contains(concat(keys(local.places), var.token_exchange == null ? [] : ["identity"]), node) }
  processes = merge(local.topology.consumers, local.servers)
  health_checks = {
    console = { path = "/login", status = "303" }
    api     = { path = "/v1/openapi.json", status = "200" }
  }

  # The variables of the generated files; tests/unit/terraform/rendering.py has the same names.
  facts = merge(module.secrets.facts, {
    partition                = data.aws_partition.current.partition
    region                   = var.region
    account                  = var.account
    code_version             = var.code_version
    otlp_endpoint            = module.telemetry.endpoint
    objects_bucket           = module.objects.bucket
    objects_key_arn          = module.objects.objects_key_arn
    vault_key_arn            = module.objects.vault_key_arn
    checkpoints_bucket       = module.checkpoints.bucket
    checkpoints_key_arn      = module.checkpoints.key_arn
    checkpoint_lock_mode     = var.checkpoints.lock_mode
    checkpoint_keep_days     = tostring(var.checkpoints.keep_days)
    checkpoint_public_key    = module.checkpoints.public_keys["checkpoints"]
    receipts_key_arn         = module.checkpoints.receipts_key_arn
    receipt_public_key       = module.checkpoints.public_keys["receipts"]
    rows_key_arn             = module.checkpoints.rows_key_arn
    queues_key_arn           = module.bus.queues_key_arn
    secrets_key_arn          = module.secrets.key_arn
    work_db_host             = module.work_db.host
    work_db_resource_id      = module.work_db.resource_id
    audit_db_host            = module.audit_db.host
    audit_db_resource_id     = module.audit_db.resource_id
    work_db_owner_secret     = module.work_db.owner_secret_arn
    work_db_key_arn          = module.work_db.key_arn
    audit_db_owner_secret    = module.audit_db.owner_secret_arn
    audit_db_key_arn         = module.audit_db.key_arn
    db_ca_file               = var.db_ca_file
    bedrock_model            = var.models.bedrock
    bedrock_foundation_model = var.models.bedrock_foundation
    bedrock_guardrail        = var.models.bedrock_guardrail
    embedding_model          = var.models.embedding
    guardrail_version        = var.models.bedrock_guardrail_version
    openai_model             = var.models.openai
    snowflake_account        = try(var.snowflake.account, "")
    snowflake_warehouse      = try(var.snowflake.warehouse, "")
    snowflake_audience       = try(var.snowflake.audience, "")
    work_orders_url          = try(var.work_orders.url, "")
    work_orders_audience     = try(var.work_orders.audience, "")
    wells_audience           = var.wells_audience
    email_domain             = try(var.email.domain, "")
    configuration_set        = try(module.email[0].configuration_set, "")
    optout_url               = try(var.email.optout_url, "")
    identity_kms_key_id      = module.secrets.credentials_key_arn
    identity_url             = try("https://identity.switchyard.internal:${local.topology.servers.identity.port}", "")
    identity_tls_ca          = "/tmp/identity/ca.pem"
    identity_tls_certificate = "/tmp/identity/own.pem"
    identity_tls_key         = "/tmp/identity/own.key"
    exchange_clients_file    = "/tmp/identity/clients.json"
    idp_issuer               = try(var.ingress.identity.issuer, var.identity.issuer, "")
    idp_jwks_url             = try(var.ingress.identity.jwks_url, var.identity.jwks_url, "")
    idp_audience             = try(var.ingress.identity.audience, "")
    idp_tenant_claim         = try(var.ingress.identity.tenant_claim, "")
    idp_role_claim           = try(var.ingress.identity.role_claim, "")
    role_scope               = try(var.token_exchange.role_scope, "")
    idp_token_url            = try(var.token_exchange.idp_token_url, var.identity.token_url, "")
    idp_client_id            = try(var.token_exchange.idp_client_id, "")
    idp_authorize_url        = try(var.console.authorize_url, "")
    console_url              = try(var.console.url, "")
    console_client_id        = try(var.console.client_id, "")
    exchange_issuer          = try(var.token_exchange.issuer, "")
    exchange_jwks_url        = try(var.token_exchange.jwks_url, "")
    exchange_token_url       = try(var.token_exchange.token_url, "")
  })

  # Which processes are stopped: `all` is every process but audit, which must go on recording.
  frozen = contains(var.frozen, "all") ? [for node in keys(local.processes) : node if node != "audit"] : tolist(var.frozen)

  # A process that streams from models needs a processor: without one each stream looks slow, and fails over.
  sizes = {
    for node, process in local.processes :
    node => lookup(var.sizes, node, try(process.calls_models, false) ? var.agent_size : var.default_size)
  }

  # Those who call models reserve money by these prices, and the console shows costs by the same.
  prices = length(var.models.prices) == 0 ? {} : { SWITCHYARD_MODEL_PRICES = jsonencode(var.models.prices) }
  quotas = length(var.models.quotas) == 0 ? {} : { SWITCHYARD_MODEL_QUOTAS = jsonencode(var.models.quotas) }

  shared = {
    generated        = local.generated
    facts            = local.facts
    architecture     = var.architecture
    logs_key_arn     = module.telemetry.logs_key_arn
    alerts_topic_arn = module.telemetry.alerts_topic_arn
    log_days         = var.log_days
    cluster          = module.telemetry.cluster
  }
  tasks = {
    for node, process in local.processes : node => {
      image              = local.images[process.name]
      size               = local.sizes[node]
      frozen             = contains(local.frozen, node)
      extra_environment  = merge(try(process.calls_models, false) ? merge(local.prices, local.quotas) : node == "console" ? local.prices : {}, lookup(var.settings, node, {}))
      database_group_ids = { for name in process.databases : name => local.database_group_ids[name] }
      network = {
        vpc_id             = module.network.vpc_id
        subnet_ids         = module.network.subnet_ids[length(process.egress) == 0 ? "private" : join("-", process.egress)]
        endpoints_group_id = module.network.endpoints_group_id
        collector_group_id = module.telemetry.collector_group_id
        s3_prefix_list_id  = module.network.s3_prefix_list_id
      }
    }
  }

  # From the account's registry: tasks cannot reach another one.
  images = { for name, digest in var.images : name => "${module.github_oidc.repositories[name]}@${digest}" }

  database_group_ids = { work = module.work_db.security_group_id, audit = module.audit_db.security_group_id }

  # A process has at most two pools of four connections, and a deployment runs the old and the new tasks together.
  wanted_connections = {
    for database in ["work", "audit"] : database => sum([
      for node, process in local.processes :
      contains(process.databases, database) ? local.sizes[node].most * 8 * 2 : 0
    ])
  }
}
