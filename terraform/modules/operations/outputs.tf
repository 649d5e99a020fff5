output "place" {
  description = "Where `switchyard remote` starts tasks: SWITCHYARD_OPERATIONS."
  value = {
    cluster        = var.cluster.name
    subnets        = var.network.subnet_ids
    security_group = aws_security_group.this.id
    log_group      = aws_cloudwatch_log_group.this.name
  }
}
