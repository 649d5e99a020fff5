variable "environment" {
  type = string
}

variable "account" {
  description = "One environment an account: names of queues and roles are fixed."
  type        = string
}

variable "region" {
  type = string
}

variable "code_version" {
  description = "The commit that the images were built from."
  type        = string
}

variable "images" {
  description = "The digest of each image in its own repository (router, case-manager, text-to-sql, …, cli, collector)."
  type        = map(string)

  validation {
    condition     = alltrue([for digest in values(var.images) : can(regex("^sha256:[0-9a-f]{64}$", digest))])
    error_message = "Give digests (sha256:…) and nothing else: the repository is this account's own, and a tag may move."
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

variable "hosts" {
  description = "What may be reached of each vendor."
  type        = map(list(string))
}

variable "postgres_version" {
  description = "The major version: RDS chooses the minor one and raises it in the maintenance window."
  type        = string
}

variable "work_db" {
  type = object({ instance_class = string, storage_gb = number, max_connections = number })
}

variable "audit_db" {
  type = object({ instance_class = string, storage_gb = number, max_connections = number })
}

variable "db_ca_file" {
  description = "Where the image has RDS's certificate bundle."
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
  description = "The inference profile, its foundation model, and the three regions that the profile may choose from."
  type = object({
    bedrock            = string
    bedrock_foundation = string
    bedrock_regions    = list(string)
    openai             = string
  })
}

variable "snowflake" {
  type = object({ account = string, warehouse = string })
}

variable "email" {
  type = object({ domain = string, certificate_arn = string, optout_url = string, sending_enabled = bool })
}

variable "ingress" {
  type = object({
    package     = string
    rate        = number
    concurrency = number
    identity = object({
      issuer       = string
      audience     = string
      jwks_url     = string
      tenant_claim = string
      role_claim   = string
    })
  })
}

variable "settings" {
  description = "Variables of single processes that differ by customer, SWITCHYARD_UPSTREAMS of the case manager first of all."
  type        = map(map(string))
}

variable "default_size" {
  type = object({ cpu = number, memory = number, fewest = number, most = number, backlog_per_task = number })
}

variable "sizes" {
  description = "For processes that need another size."
  type        = map(object({ cpu = number, memory = number, fewest = number, most = number, backlog_per_task = number }))
}

variable "collectors" {
  type = number
}

variable "log_days" {
  type = number
}
