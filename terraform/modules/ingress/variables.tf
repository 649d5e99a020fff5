variable "bus" {
  type = string
}

variable "event_source" {
  description = "The function's EventBridge source, from generated/topology.json."
  type        = string
}

variable "generated" {
  type = string
}

variable "facts" {
  type = map(string)
}

variable "package" {
  description = "The zip that `make ingress-package` builds."
  type        = string
}

variable "identity" {
  description = "The accepted issuer and audience, and the claims of the tenant and of the warehouse role."
  type = object({
    issuer       = string
    audience     = string
    jwks_url     = string
    tenant_claim = string
    role_claim   = string
  })
}

variable "routes" {
  description = "What is posted to the function: the last part of each path, from generated/topology.json."
  type        = list(string)
}

variable "grant_policy" {
  description = "Null where no agent acts in a user's name. What each user's grant covers, and how many hours after the log-in; the scopes of the user's roles are added."
  type        = object({ agents = list(string), audiences = list(string), scopes = list(string), hours = number })
}

variable "reviewer_roles" {
  description = "Roles whose holders give feedback on every case of their tenant."
  type        = list(string)
}

variable "stage" {
  type = string
}

variable "rate" {
  description = "Requests per second."
  type        = number
}

variable "caller_limit" {
  description = "Requests of one token in a minute, before the function runs; at least WAF's least, 10."
  type        = number
}

variable "user_requests" {
  description = "Requests of one user in a minute to one instance of the function with any of their tokens."
  type        = number
}

variable "tenant_requests" {
  description = "Requests of all users of a tenant in a minute to one instance of the function."
  type        = number
}

variable "concurrency" {
  type = number
}

variable "network" {
  type = object({ vpc_id = string, subnet_ids = list(string), endpoints_group_id = string })
}

variable "logs_key_arn" {
  type = string
}

variable "log_days" {
  type = number
}

variable "alerts_topic_arn" {
  type = string
}

variable "architecture" {
  description = "X86_64 or ARM64: that of the package."
  type        = string
}
