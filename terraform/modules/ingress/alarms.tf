# A 503 of the function is a successful invocation to Lambda, so only this alarm shows it.
resource "aws_cloudwatch_metric_alarm" "unavailable" {
  alarm_name          = "switchyard-ingress-unavailable"
  alarm_description   = "The API answers with 5xx: the dependency that failed is in ${aws_cloudwatch_log_group.function.name}."
  namespace           = "AWS/ApiGateway"
  metric_name         = "5XXError"
  dimensions          = { ApiName = aws_api_gateway_rest_api.this.name, Stage = aws_api_gateway_stage.this.stage_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}
