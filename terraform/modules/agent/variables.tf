variable "node" {
  description = "The consumer's name in the catalogue."
  type        = string
}

variable "consumer" {
  description = "The consumer's entry in generated/topology.json."
  type = object({
    name              = string
    queue             = string
    dead_letter_queue = string
    lanes             = list(string)
    rules             = map(object({ bus = string, pattern = string, queue = string }))
    egress            = list(string)
    port              = optional(number)
  })
}

variable "queues" {
  description = "The settings of every queue, from generated/topology.json."
  type = object({
    visibility_seconds            = number
    retention_seconds             = number
    dead_letter_retention_seconds = number
    max_receives                  = number
  })
}

variable "generated" {
  description = "The path of the folder generated/."
  type        = string
}

variable "facts" {
  description = "The values of the variables in the generated files."
  type        = map(string)
}

variable "extra_environment" {
  description = "Environment variables that differ by customer, for example SWITCHYARD_UPSTREAMS and SWITCHYARD_FEEDBACK_TENANTS."
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
  type = object({ name = string, arn = string, insights = bool, spot = bool })
}

variable "network" {
  description = "The subnets of the tasks and the groups that they may reach."
  type = object({
    vpc_id             = string
    subnet_ids         = list(string)
    endpoints_group_id = string
    collector_group_id = string
    s3_prefix_list_id  = string
  })
}

variable "database_group_ids" {
  description = "The security group of the consumer's database, by the database's name; empty without one."
  type        = map(string)
}

variable "load_balancer" {
  description = "The load balancer of a process with a public page; null for the others."
  type        = object({ target_group_arn = string, security_group_id = string })
  default     = null
}

variable "image" {
  description = "The image, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must have a digest (…@sha256:…): a tag can change while the system runs."
  }
}

variable "size" {
  description = "CPU units, memory in MiB, the smallest and largest number of tasks, and the target backlog per task."
  type = object({
    cpu              = number
    memory           = number
    fewest           = number
    most             = number
    backlog_per_task = number
  })
}

variable "log_days" {
  type = number
}

variable "frozen" {
  description = "Stop every task, and keep autoscaling from starting one."
  type        = bool
}

variable "architecture" {
  description = "X86_64 or ARM64: that of the images."
  type        = string
}

variable "oldest_message_s" {
  description = "The age of the oldest message, in seconds, from which people or the log wait too long."
  type        = number
}
