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

variable "cases_log_group" {
  description = "The log of the case manager, which says how long each case took."
  type        = string
}

variable "logs_key_arn" {
  type = string
}

variable "log_days" {
  type = number
}

variable "agents" {
  description = "The nodes that call models."
  type        = set(string)
}

variable "outcomes" {
  description = "The class of each outcome (reached, stopped, failed), from generated/topology.json."
  type        = map(string)
}

variable "objectives" {
  description = "From when on an alarm is raised."
  type        = object({ failover_percent = number, failed_percent = number, model_p95_ms = number, case_p95_s = map(number) })
}

variable "alerts_topic_arn" {
  type = string
}
