variable "name" {
  description = "The name of the bus, from generated/topology.json."
  type        = string
}

variable "sources" {
  description = "The source of each of our own publishers, by node, from generated/topology.json."
  type        = map(string)
}

variable "function" {
  description = "The publisher that is a function and not a task."
  type        = string
  default     = "ingress"
}

variable "upstreams" {
  description = "Other systems that publish submissions: by source, the role that may, and the types of event."
  type        = map(object({ role_arn = string, types = list(string) }))

  validation {
    condition     = alltrue([for source in keys(var.upstreams) : startswith(source, "upstream.")])
    error_message = "The source of an upstream begins with `upstream.`."
  }
  validation {
    condition     = alltrue([for upstream in values(var.upstreams) : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/", upstream.role_arn))])
    error_message = "An upstream publishes with a role: give the role's ARN."
  }
}

variable "alerts_topic_arn" {
  type = string
}
