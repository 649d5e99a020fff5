variable "secrets" {
  description = "Name and meaning of each, from generated/topology.json."
  type        = map(string)
}
