variable "secrets" {
  description = "The name and description of each secret, from generated/topology.json."
  type        = map(string)
}
