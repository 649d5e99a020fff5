variable "name" {
  description = "The name of the bus, from generated/topology.json."
  type        = string
}

variable "source_prefix" {
  description = "The prefix of the sources of our own services."
  type        = string
  default     = "switchyard."
}
