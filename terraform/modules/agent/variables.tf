variable "node" {
  description = "The consumer, as the catalogue names it."
  type        = string
}

variable "consumer" {
  description = "Its part of generated/topology.json."
  type = object({
    name              = string
    queue             = string
    dead_letter_queue = string
    rules             = map(object({ bus = string, pattern = string }))
    database          = optional(string)
    calls_models      = bool
    egress            = list(string)
    port              = optional(number)
  })
}

variable "queues" {
  description = "What all queues have in common: generated/topology.json."
  type = object({
    visibility_seconds            = number
    retention_seconds             = number
    dead_letter_retention_seconds = number
    max_receives                  = number
  })
}

variable "generated" {
  description = "The folder generated/."
  type        = string
}

variable "facts" {
  description = "What fills the places in the generated files."
  type        = map(string)
}

variable "extra_environment" {
  description = "Variables that differ by customer: SWITCHYARD_UPSTREAMS, SWITCHYARD_FEEDBACK_TENANTS and the like."
  type        = map(string)
  default     = {}
}

variable "queues_key_arn" {
  type = string
}

variable "logs_key_arn" {
  type = string
}

variable "alerts_topic_arn" {
  type = string
}

variable "cluster" {
  type = object({ name = string, arn = string })
}

variable "network" {
  description = "Where the tasks run and what they may reach."
  type = object({
    vpc_id             = string
    subnet_ids         = list(string)
    endpoints_group_id = string
    collector_group_id = string
    s3_prefix_list_id  = string
  })
}

variable "database_group_id" {
  description = "Security group of the database that this consumer logs in to; null without one."
  type        = string
  default     = null
}

variable "load_balancer" {
  description = "For a process that the world may call; null otherwise."
  type        = object({ target_group_arn = string, security_group_id = string })
  default     = null
}

variable "image" {
  description = "The image, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest (…@sha256:…): a tag may move under a running system."
  }
}

variable "size" {
  description = "CPU units, memory in MiB, fewest and most tasks, and the backlog that one task is meant to have."
  type = object({
    cpu              = number
    memory           = number
    fewest           = number
    most             = number
    backlog_per_task = number
  })
}

variable "health_port" {
  type = number
}

variable "log_days" {
  type = number
}
