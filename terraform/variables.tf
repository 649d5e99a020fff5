variable "environment" {
  type = string
}

variable "account" {
  description = "The account of this environment only: the names of queues and roles are fixed."
  type        = string
}

variable "region" {
  type = string
}

variable "code_version" {
  description = "The commit of the images."
  type        = string
}

variable "images" {
  description = "The digest of each image in its own repository (router, case-manager, text-to-sql, …, cli, collector)."
  type        = map(string)

  validation {
    condition     = alltrue([for digest in values(var.images) : can(regex("^sha256:[0-9a-f]{64}$", digest))])
    error_message = "Each value must be a digest only (sha256:…): the repository is in this account, and a tag can change."
  }
}

variable "repository" {
  type = string
}

variable "create_github_provider" {
  type = bool
}

variable "cidr" {
  type = string
}

variable "zones" {
  type = number
}

variable "firewall" {
  description = "Whether a firewall limits the hosts that agents may call: true wherever real data is. Without it the network costs a tenth."
  type        = bool
}

variable "spot" {
  description = "Whether tasks run on Fargate Spot, for trials: AWS may stop one after two minutes' notice, and may have none to give."
  type        = bool
}

variable "container_insights" {
  description = "Whether running tasks are counted: true wherever a process has more than one or two. Without it an alarm notices only that none runs."
  type        = bool
}

variable "endpoint_zones" {
  description = "In how many zones each endpoint of AWS is."
  type        = number
}

variable "hosts" {
  description = "The hosts of each vendor that tasks may reach."
  type        = map(list(string))
}

variable "postgres_version" {
  description = "The major version: RDS chooses and upgrades the minor version."
  type        = string
}

variable "work_db" {
  type = object({ instance_class = string, storage_gb = number, max_connections = number })
}

variable "audit_db" {
  type = object({ instance_class = string, storage_gb = number, max_connections = number })
}

variable "db_ca_file" {
  description = "The path of RDS's certificate bundle in the image."
  type        = string
}

variable "multi_az" {
  type = bool
}

variable "backup_days" {
  type = number
}

variable "deletion_protection" {
  type = bool
}

variable "objects_bucket" {
  type = string
}

variable "quarantine_days" {
  type = number
}

variable "checkpoints" {
  type = object({ bucket = string, lock_mode = string, keep_days = number })
}

variable "models" {
  description = "The inference profile and its foundation model, a guardrail of every call (empty for none), OpenAI's model, Bedrock's for embeddings, and by model id what a million tokens cost in dollars, where that is not the list price, and how many tokens a minute all tenants share."
  type = object({
    bedrock                   = string
    bedrock_foundation        = string
    bedrock_guardrail         = string
    bedrock_guardrail_version = string
    openai                    = string
    embedding                 = optional(string, "")
    prices                    = optional(map(object({ input = number, output = number })), {})
    quotas                    = optional(map(number), {})
  })
}

variable "work_orders" {
  description = "The work-order service that field_routing calls as the user: its address, and its name in tokens."
  type        = object({ url = string, audience = string })
  default     = null
}

variable "snowflake" {
  type    = object({ account = string, warehouse = string, audience = string })
  default = null
}

variable "wells_audience" {
  type        = string
  description = "The loaded well data, as users' tokens name it."
  default     = ""
}

variable "email" {
  type    = object({ domain = string, certificate_arn = string, optout_url = string, sending_enabled = bool })
  default = null
}

variable "ingress" {
  type = object({
    package         = string
    rate            = number
    concurrency     = number
    caller_limit    = optional(number, 300)
    user_requests   = optional(number, 300)
    tenant_requests = optional(number, 3000)
    grant_policy = optional(object({
      agents    = list(string)
      audiences = list(string)
      scopes    = list(string)
      hours     = number
    }))
    identity = object({
      issuer       = string
      audience     = string
      jwks_url     = string
      tenant_claim = string
      role_claim   = string
    })
  })
  default = null
}

variable "token_exchange" {
  description = "The token exchange (RFC 8693), and the identity provider's token endpoint with the client that refreshes there."
  type = object({
    role_scope    = string
    issuer        = string
    jwks_url      = string
    token_url     = string
    idp_token_url = string
    idp_client_id = string
  })
  default = null
}

variable "console" {
  description = "The console's address and its certificate, the networks that reach it, and its client at the identity provider."
  type        = object({ url = string, certificate_arn = string, networks = list(string), client_id = string, authorize_url = string })
  default     = null
}

variable "identity" {
  description = "The identity provider of the console, where there is no ingress, which names it otherwise."
  type        = object({ issuer = string, jwks_url = string, token_url = string })
  default     = null
}

variable "api" {
  description = "The certificate of the API's address, and the networks that reach it."
  type        = object({ certificate_arn = string, networks = list(string) })
  default     = null
}

variable "settings" {
  description = "Environment variables per process that differ by customer, for example SWITCHYARD_UPSTREAMS of case_manager."
  type        = map(map(string))
}

variable "default_size" {
  type = object({ cpu = number, memory = number, fewest = number, most = number, backlog_per_task = number })
}

variable "agent_size" {
  description = "The size of a process that calls models."
  type        = object({ cpu = number, memory = number, fewest = number, most = number, backlog_per_task = number })
}

variable "oldest_message_s" {
  description = "Per process, and for every other one under `default`: the age of a message, in seconds, that raises an alarm."
  type        = map(number)
}

variable "objectives" {
  description = "Service objectives: the share of answers that another model than the primary may give, of cases that may fail or expire, the P95 of a model call, and that of a whole case by playbook: those that wait for no person."
  type        = object({ failover_percent = number, failed_percent = number, model_p95_ms = number, case_p95_s = map(number) })
}

variable "frozen" {
  description = "Processes that are stopped and stay stopped, or `all` but audit: for an emergency and a restore. Email sending is off while email_sender is among them, and no job runs."
  type        = set(string)
  default     = []
}

variable "architecture" {
  description = "Of every image and of the function: X86_64 or ARM64. release.yml builds for it."
  type        = string

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "Fargate runs X86_64 and ARM64."
  }
}

variable "keep_images" {
  type = number
}

variable "alert_emails" {
  description = "Who is paged. Without an entry no alarm reaches anybody."
  type        = list(string)
}

variable "upstreams" {
  description = "Systems that publish submissions, by source (`upstream.billing`): the role that may, also of another account, and the types."
  type        = map(object({ role_arn = string, types = list(string) }))
}

variable "trail" {
  description = "The bucket of CloudTrail's records, and how long they are kept."
  type        = object({ bucket = string, keep_days = number })
}

variable "sizes" {
  description = "The sizes of processes that differ from default_size."
  type        = map(object({ cpu = number, memory = number, fewest = number, most = number, backlog_per_task = number }))
}

variable "collectors" {
  type = number
}

variable "log_days" {
  type = number
}
