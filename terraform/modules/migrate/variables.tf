variable "facts" {
  type = map(string)
}

variable "image" {
  type = string
}

variable "network" {
  type = object({
    vpc_id             = string
    endpoints_group_id = string
    s3_prefix_list_id  = string
  })
}

variable "database_group_ids" {
  description = "Security groups of both databases, by name."
  type        = map(string)
}

variable "logs_key_arn" {
  type = string
}

variable "log_days" {
  type = number
}
