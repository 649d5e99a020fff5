variable "operations" {
  description = "Roles and jobs, from generated/topology.json."
  type = object({
    roles = map(object({ purpose = string, command = list(string), people = bool }))
    jobs  = map(object({ role = string, command = list(string), schedule = string, hours = number }))
  })
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
  description = "Environment variables of every role that differ by customer: public keys of people."
  type        = map(string)
}

variable "image" {
  description = "The image `cli`, by digest."
  type        = string
}

variable "architecture" {
  description = "X86_64 or ARM64: that of the image."
  type        = string
}

variable "jobs_enabled" {
  description = "False while the databases are being restored, and before they are migrated."
  type        = bool
}

variable "cluster" {
  type = object({ name = string, arn = string })
}

variable "network" {
  type = object({
    vpc_id             = string
    subnet_ids         = list(string)
    endpoints_group_id = string
    s3_prefix_list_id  = string
  })
}

variable "database_group_ids" {
  type = map(string)
}

variable "stop_publishing_arn" {
  description = "The policy that people on call attach to a task role."
  type        = string
}

variable "alerts_topic_arn" {
  type = string
}

variable "logs_key_arn" {
  type = string
}

variable "log_days" {
  type = number
}
