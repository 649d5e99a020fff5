variable "node" {
  description = "The consumer's name in the catalogue."
  type        = string
}

variable "consumer" {
  description = "The consumer's entry in generated/topology.json."
  type = object({
    name              = string
    queue             = string
    dead_letter_queue = string
    lanes             = list(string)
    rules             = map(object({ bus = string, pattern = string, queue = string }))
    egress            = list(string)
    port              = optional(number)
  })
}

variable "queues" {
  description = "The settings of every queue, from generated/topology.json."
  type = object({
    visibility_seconds            = number
    retention_seconds             = number
    dead_letter_retention_seconds = number
    max_receives                  = number
  })
}

variable "queues_key_arn" {
  type = string
}

variable "load_balancer" {
  description = "The load balancer of a process with a public page; null for the others."
  type        = object({ target_group_arn = string, security_group_id = string })
  default     = null
}

variable "oldest_message_s" {
  description = "The age of the oldest message, in seconds, from which people or the log wait too long."
  type        = number
}

variable "shared" {
  description = "What all processes have in common: see modules/process."
  type        = any
}

variable "task" {
  description = "What is this process's own: see modules/process."
  type        = any
}
