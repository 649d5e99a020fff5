variable "node" {
  description = "The process's name in the topology."
  type        = string
}

variable "server" {
  description = "The process's entry in generated/topology.json."
  type        = object({ name = string, egress = list(string), port = number })
}

variable "callers" {
  description = "The networks that may connect, as CIDR blocks: those of the company, never the internet."
  type        = set(string)

  validation {
    condition     = alltrue([for block in var.callers : cidrnetmask(block) != "0.0.0.0"])
    error_message = "callers must not have 0.0.0.0/0: the service is for the company's own networks."
  }
}

variable "load_balancer_subnet_ids" {
  type = list(string)
}

variable "certificate_arn" {
  description = "The certificate of the service's address, in ACM."
  type        = string
}

variable "health_check" {
  description = "A page that needs neither a log-in nor a database, and the status of its answer."
  type        = object({ path = string, status = string })
}

variable "deletion_protection" {
  type = bool
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
  description = "Environment variables that differ by customer, for example SWITCHYARD_CONSOLE_ROLE_CLAIM."
  type        = map(string)
  default     = {}
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

variable "frozen" {
  type = bool
}

variable "architecture" {
  description = "X86_64 or ARM64: that of the images."
  type        = string
}

variable "logs_key_arn" {
  type = string
}

variable "alerts_topic_arn" {
  type = string
}

variable "log_days" {
  type = number
}

variable "cluster" {
  type = object({ name = string, arn = string, insights = bool, spot = bool })
}

variable "database_group_ids" {
  description = "The security group of each database that the process logs in to, by the database's name."
  type        = map(string)
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
