output "url" {
  value = "${aws_api_gateway_stage.this.invoke_url}/cases"
}

output "security_group_id" {
  value = aws_security_group.this.id
}
