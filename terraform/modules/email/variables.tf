variable "domain" {
  description = "The domain of the sender addresses."
  type        = string
}

variable "sending_enabled" {
  description = "The kill switch: false stops every email of this deployment."
  type        = bool
}

variable "certificate_arn" {
  description = "The ACM certificate of the opt-out page."
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
  description = "The port of the process that serves the opt-out page."
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
