variable "cidr" {
  description = "The VPC's address range, a /16."
  type        = string

  validation {
    condition     = endswith(var.cidr, "/16")
    error_message = "The range must be a /16: each kind of subnet has sixteen /24s of it."
  }
}

variable "zones" {
  description = "The number of availability zones."
  type        = number
}

variable "egress" {
  description = "The vendors of each process, from its card."
  type        = map(list(string))
}

variable "hosts" {
  description = "The hosts of each vendor; a leading dot matches every subdomain."
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

variable "firewall" {
  description = "Whether a firewall limits the hosts that agents may call. Without it there is one NAT for all zones, too."
  type        = bool
}

variable "endpoint_zones" {
  description = "In how many zones each endpoint of AWS is; tasks of the other zones use those."
  type        = number
}
