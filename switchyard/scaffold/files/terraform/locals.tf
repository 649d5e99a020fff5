data "aws_partition" "current" {}

locals {
  generated = "${path.module}/generated"
  topology  = jsondecode(file("${local.generated}/topology.json"))
  processes = merge(local.topology.consumers, local.topology.servers)

  # The variables of the generated files.
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
    guardrail_version        = var.models.bedrock_guardrail_version
    openai_model             = var.models.openai
    idp_issuer               = var.identity.issuer
    idp_jwks_url             = var.identity.jwks_url
    idp_token_url            = var.identity.token_url
    idp_authorize_url        = var.identity.authorize_url
    console_url              = var.console.url
    console_client_id        = var.console.client_id
  })

  # Which processes are stopped: `all` is every process but audit, which must go on recording.
  frozen = contains(var.frozen, "all") ? [for node in keys(local.processes) : node if node != "audit"] : tolist(var.frozen)

  # A process that streams from models needs a processor: without one each stream looks slow, and fails over.
  sizes = {
    for node, process in local.processes :
    node => lookup(var.sizes, node, try(process.calls_models, false) ? var.agent_size : var.default_size)
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
