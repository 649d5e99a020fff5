variable "network" {
  type = object({
    vpc_id             = string
    cidr               = string
    subnet_ids         = list(string)
    endpoints_group_id = string
    s3_prefix_list_id  = string
  })
}

variable "collector_image" {
  description = "The OpenTelemetry collector with the extension sigv4auth, by digest, from the account's own registry."
  type        = string
}

variable "collectors" {
  type = number
}

variable "container_insights" {
  type = bool
}

variable "spot" {
  type = bool
}

variable "log_days" {
  type = number
}

variable "alert_emails" {
  description = "Who is paged, by email; more subscriptions (a pager, a chat) are made beside terraform."
  type        = list(string)
}

variable "architecture" {
  description = "X86_64 or ARM64: that of the collector's image."
  type        = string
}
