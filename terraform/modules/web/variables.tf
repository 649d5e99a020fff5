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

variable "shared" {
  description = "What all processes have in common: see modules/process."
  type        = any
}

variable "task" {
  description = "What is this process's own: see modules/process."
  type        = any
}
