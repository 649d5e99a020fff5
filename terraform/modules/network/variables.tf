variable "cidr" {
  description = "A /16."
  type        = string

  validation {
    condition     = endswith(var.cidr, "/16")
    error_message = "Give a /16: each kind of subnet takes sixteen /24s of it."
  }
}

variable "zones" {
  description = "How many availability zones."
  type        = number
}

variable "egress" {
  description = "For each process the vendors that it reaches, from its card."
  type        = map(list(string))
}

variable "hosts" {
  description = "For each vendor its hosts; a leading dot stands for every name below."
  type        = map(list(string))
}

variable "delete_protection" {
  type = bool
}

variable "logs_key_arn" {
  type = string
}

variable "log_days" {
  type = number
}
