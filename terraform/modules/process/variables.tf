variable "node" {
  description = "The process's name in the topology: that of its generated files."
  type        = string
}

variable "process" {
  description = "The process's entry in generated/topology.json; `egress` names the hosts outside that it calls."
  type        = object({ name = string, egress = list(string), port = optional(number) })
}

variable "load_balancer" {
  description = "The load balancer of a process that browsers or callers reach; null for the others."
  type        = object({ target_group_arn = string, security_group_id = string })
  default     = null
}

variable "registry_arn" {
  description = "The name under which others find the tasks; null for a process that no other calls directly."
  type        = string
  default     = null
}

variable "shared" {
  description = "What all processes have in common. `generated` is the path of the folder generated/, `facts` are the values of the variables in its files."
  type = object({
    generated        = string
    facts            = map(string)
    architecture     = string
    logs_key_arn     = string
    alerts_topic_arn = string
    log_days         = number
    cluster          = object({ name = string, arn = string, insights = bool, spot = bool })
  })
}

variable "task" {
  description = "What is this process's own: its image by digest; CPU units, memory in MiB, the fewest and the most tasks; whether every task is stopped and autoscaling starts none; variables that differ by customer; the group of each database that it logs in to; its subnets and the groups that it may reach."
  type = object({
    image              = string
    size               = object({ cpu = number, memory = number, fewest = number, most = number })
    frozen             = bool
    extra_environment  = map(string)
    database_group_ids = map(string)
    network = object({
      vpc_id             = string
      subnet_ids         = list(string)
      endpoints_group_id = string
      collector_group_id = string
      s3_prefix_list_id  = string
    })
  })

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.task.image))
    error_message = "The image must have a digest (…@sha256:…): a tag can change while the system runs."
  }
}
