variable "bus" {
  type = string
}

variable "region" {
  type = string
}

variable "consumers" {
  description = "The queues of every consumer, from generated/topology.json."
  type        = map(object({ queues = list(string), dead_letter_queue = string }))
}

variable "logs_key_arn" {
  type = string
}

variable "log_days" {
  type = number
}
