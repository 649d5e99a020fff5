variable "node" {
  description = "The process's name in the topology: that of its generated files."
  type        = string
}

variable "process" {
  description = "The process's entry in generated/topology.json; `egress` names the hosts outside that it calls."
  type        = object({ name = string, egress = list(string), port = optional(number) })
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
  description = "The security group of each database that the process logs in to, by the database's name."
  type        = map(string)
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

variable "image" {
  description = "The image, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must have a digest (…@sha256:…): a tag can change while the system runs."
  }
}

variable "size" {
  description = "CPU units, memory in MiB, the smallest and the largest number of tasks."
  type        = object({ cpu = number, memory = number, fewest = number, most = number })
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
