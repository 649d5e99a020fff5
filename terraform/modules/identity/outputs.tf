output "security_group_id" {
  value = module.process.security_group_id
}

output "bounds" {
  description = "The fewest and the most tasks."
  value       = module.process.bounds
}
