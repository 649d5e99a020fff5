output "address" {
  description = "The load balancer's name, for a CNAME record of the service's own."
  value       = aws_lb.this.dns_name
}

output "bounds" {
  description = "The fewest and the most tasks."
  value       = module.process.bounds
}
