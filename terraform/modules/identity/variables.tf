variable "node" {
  description = "The process's name."
  type        = string
}

variable "server" {
  description = "The process's entry in generated/topology.json."
  type        = object({ name = string, egress = list(string), port = number })
}

variable "callers" {
  description = "The security group of each process that may call it, by name."
  type        = map(string)
}

variable "namespace_id" {
  description = "The private DNS namespace, in which the process is NAME.switchyard.internal."
  type        = string
}

variable "shared" {
  description = "What all processes have in common: see modules/process."
  type        = any
}

variable "task" {
  description = "What is this process's own: see modules/process."
  type        = any
}
