"""Enumerated values are values of AWS's enumerations, as in botocore's models, which AWS generates."""

from __future__ import annotations

from functools import cache

import botocore.session
import pytest

from tests.unit.terraform.provider.uses import Body, bodies
from tests.unit.terraform.reading import ENVIRONMENTS, values

WORDS = {
    "aws_api_gateway_rest_api.endpoint_access_mode": ("apigateway", "EndpointAccessMode"),
    "aws_api_gateway_rest_api.security_policy": ("apigateway", "SecurityPolicy"),
    "aws_appautoscaling_policy.policy_type": ("application-autoscaling", "PolicyType"),
    "aws_appautoscaling_target.scalable_dimension": ("application-autoscaling", "ScalableDimension"),
    "aws_appautoscaling_target.service_namespace": ("application-autoscaling", "ServiceNamespace"),
    "aws_api_gateway_integration.type": ("apigateway", "IntegrationType"),
    "aws_api_gateway_rest_api.endpoint_configuration.types": ("apigateway", "EndpointType"),
    "aws_cloudwatch_metric_alarm.comparison_operator": ("cloudwatch", "ComparisonOperator"),
    "aws_cloudwatch_metric_alarm.statistic": ("cloudwatch", "Statistic"),
    "aws_ecr_repository.encryption_configuration.encryption_type": ("ecr", "EncryptionType"),
    "aws_ecr_repository.image_tag_mutability": ("ecr", "ImageTagMutability"),
    "aws_ecs_cluster.setting.name": ("ecs", "ClusterSettingName"),
    "aws_ecs_service.launch_type": ("ecs", "LaunchType"),
    "aws_ecs_service.propagate_tags": ("ecs", "PropagateTags"),
    "aws_ecs_task_definition.network_mode": ("ecs", "NetworkMode"),
    "aws_ecs_task_definition.requires_compatibilities": ("ecs", "Compatibility"),
    "aws_ecs_task_definition.runtime_platform.operating_system_family": ("ecs", "OSFamily"),
    "aws_eip.domain": ("ec2", "DomainType"),
    "aws_flow_log.traffic_type": ("ec2", "TrafficType"),
    "aws_kms_key.customer_master_key_spec": ("kms", "CustomerMasterKeySpec"),
    "aws_kms_key.key_usage": ("kms", "KeyUsageType"),
    "aws_lambda_function.logging_config.log_format": ("lambda", "LogFormat"),
    "aws_lambda_function.runtime": ("lambda", "Runtime"),
    "aws_lb.load_balancer_type": ("elbv2", "LoadBalancerTypeEnum"),
    "aws_lb_listener.default_action.type": ("elbv2", "ActionTypeEnum"),
    "aws_lb_listener.protocol": ("elbv2", "ProtocolEnum"),
    "aws_lb_target_group.protocol": ("elbv2", "ProtocolEnum"),
    "aws_lb_target_group.target_type": ("elbv2", "TargetTypeEnum"),
    "aws_networkfirewall_firewall_policy.firewall_policy.stateful_engine_options.rule_order": (
        "network-firewall",
        "RuleOrder",
    ),
    "aws_networkfirewall_firewall_policy.firewall_policy.stateful_engine_options.stream_exception_policy": (
        "network-firewall",
        "StreamExceptionPolicy",
    ),
    "aws_networkfirewall_logging_configuration.logging_configuration.log_destination_config.log_destination_type": (
        "network-firewall",
        "LogDestinationType",
    ),
    "aws_networkfirewall_logging_configuration.logging_configuration.log_destination_config.log_type": (
        "network-firewall",
        "LogType",
    ),
    "aws_networkfirewall_rule_group.rule_group.stateful_rule_options.rule_order": ("network-firewall", "RuleOrder"),
    "aws_networkfirewall_rule_group.type": ("network-firewall", "RuleGroupType"),
    "aws_route53_resolver_firewall_rule.action": ("route53resolver", "Action"),
    "aws_route53_resolver_firewall_rule.block_response": ("route53resolver", "BlockResponse"),
    "aws_route53_resolver_firewall_rule.firewall_domain_redirection_action": (
        "route53resolver",
        "FirewallDomainRedirectionAction",
    ),
    "aws_s3_bucket_lifecycle_configuration.rule.status": ("s3", "ExpirationStatus"),
    "aws_s3_bucket_object_lock_configuration.rule.default_retention.mode": ("s3", "ObjectLockRetentionMode"),
    "aws_s3_bucket_ownership_controls.rule.object_ownership": ("s3", "ObjectOwnership"),
    "aws_s3_bucket_server_side_encryption_configuration.rule.apply_server_side_encryption_by_default.sse_algorithm": (
        "s3",
        "ServerSideEncryption",
    ),
    "aws_s3_bucket_versioning.versioning_configuration.status": ("s3", "BucketVersioningStatus"),
    "aws_scheduler_schedule.flexible_time_window.mode": ("scheduler", "FlexibleTimeWindowMode"),
    "aws_scheduler_schedule.target.ecs_parameters.launch_type": ("scheduler", "LaunchType"),
    "aws_scheduler_schedule.target.ecs_parameters.propagate_tags": ("scheduler", "PropagateTags"),
    "aws_service_discovery_service.dns_config.dns_records.type": ("servicediscovery", "RecordType"),
    "aws_service_discovery_service.dns_config.routing_policy": ("servicediscovery", "RoutingPolicy"),
    "aws_sesv2_configuration_set.delivery_options.tls_policy": ("sesv2", "TlsPolicy"),
    "aws_sesv2_configuration_set.suppression_options.suppressed_reasons": ("sesv2", "SuppressionListReason"),
    "aws_sesv2_configuration_set_event_destination.event_destination.matching_event_types": ("sesv2", "EventType"),
    "aws_sesv2_email_identity.dkim_signing_attributes.next_signing_key_length": ("sesv2", "DkimSigningKeyLength"),
    "aws_sesv2_email_identity_mail_from_attributes.behavior_on_mx_failure": ("sesv2", "BehaviorOnMxFailure"),
    "aws_vpc_endpoint.vpc_endpoint_type": ("ec2", "VpcEndpointType"),
    "aws_wafv2_web_acl.rule.statement.rate_based_statement.aggregate_key_type": (
        "wafv2",
        "RateBasedStatementAggregateKeyType",
    ),
    "aws_wafv2_web_acl.scope": ("wafv2", "Scope"),
    "aws_wafv2_web_acl.custom_response_body.content_type": ("wafv2", "ResponseContentType"),
    "aws_wafv2_web_acl.rule.statement.rate_based_statement.custom_key.header.text_transformation.type": (
        "wafv2",
        "TextTransformationType",
    ),
    "aws_wafv2_web_acl_logging_configuration.logging_filter.default_behavior": ("wafv2", "FilterBehavior"),
    "aws_wafv2_web_acl_logging_configuration.logging_filter.filter.behavior": ("wafv2", "FilterBehavior"),
    "aws_wafv2_web_acl_logging_configuration.logging_filter.filter.requirement": ("wafv2", "FilterRequirement"),
    "aws_wafv2_web_acl_logging_configuration.logging_filter.filter.condition.action_condition.action": (
        "wafv2",
        "ActionValue",
    ),
    "aws_api_gateway_gateway_response.response_type": ("apigateway", "GatewayResponseType"),
}
"""Arguments, each with the service and the shape of its enumeration."""

UNLISTED = {
    "aws_api_gateway_integration.integration_http_method",
    "aws_api_gateway_method.authorization",
    "aws_api_gateway_method.http_method",
    "aws_api_gateway_method_settings.settings.logging_level",
    "aws_appautoscaling_policy.target_tracking_scaling_policy_configuration.customized_metric_specification"
    ".metrics.metric_stat.metric.namespace",
    "aws_cloudwatch_metric_alarm.namespace",
    "aws_ecs_cluster_capacity_providers.capacity_providers",
    "aws_ecs_service.platform_version",
    "aws_vpc_security_group_egress_rule.description",
    "aws_wafv2_web_acl.rule.statement.managed_rule_group_statement.vendor_name",
}
"""Arguments in capitals for which the API accepts any text: compared with AWS's documentation by hand."""


@cache
def words(service: str, shape: str) -> frozenset[str]:
    model = botocore.session.Session().get_service_model(service)
    return frozenset(model.shape_for(shape).enum)


def literals(body: Body, path: str) -> list[tuple[str, str, str]]:
    """Every literal of a body: path, location, value."""
    found = [
        (f"{path}.{name}", body.where, word)
        for name, value in body.arguments.items()
        for word in (value if isinstance(value, list) else [value])
        if isinstance(word, str) and "${" not in word
    ]
    for name, inner in body.blocks.items():
        for each in inner:
            found += literals(each, f"{path}.{name}")
    return found


LITERALS = [each for kind, type_, body in bodies() if kind == "resource" for each in literals(body, type_)]


@pytest.mark.parametrize("argument", WORDS)
def test_value_is_in_the_enumeration_of_the_api(argument: str) -> None:
    found = [(where, word) for path, where, word in LITERALS if path == argument]
    assert found, "no file uses the argument: remove it from the list"
    assert [each for each in found if each[1] not in words(*WORDS[argument])] == []


def test_value_in_capitals_is_listed() -> None:
    loud = {path for path, _, word in LITERALS if word.isupper() and len(word) > 2 and path not in WORDS}
    assert loud == UNLISTED


def test_unknown_value_is_not_in_the_enumeration() -> None:
    assert "RSA_4096_BIT" not in words("sesv2", "DkimSigningKeyLength")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_architecture_is_one_of_ecs_and_lambda(environment: str) -> None:
    architecture = values(environment)["architecture"]
    assert architecture in words("ecs", "CPUArchitecture")
    assert architecture.lower() in words("lambda", "Architecture")
