variable "domain" {
  description = "What emails come from."
  type        = string
}

variable "sending_enabled" {
  description = "The last switch before the provider: false stops every email of this deployment."
  type        = bool
}

variable "certificate_arn" {
  description = "ACM's certificate for the opt-out page's name."
  type        = string
}

variable "vpc_id" {
  type = string
}

variable "vpc_cidr" {
  type = string
}

variable "public_subnet_ids" {
  type = list(string)
}

variable "port" {
  description = "Where the process behind the page listens."
  type        = number
}

variable "deletion_protection" {
  type = bool
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
