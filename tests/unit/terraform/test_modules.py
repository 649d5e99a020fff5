"""The HCL of the modules and of the root module, read without a provider."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.app import LOCAL_IDENTITY
from switchyard.api.endpoints import READS
from switchyard.api.problems import PROBLEM_TYPE, TooManyRequests
from switchyard.console.access import ENDPOINTS
from switchyard.infra.generate import GENERATED_FOLDER
from switchyard.infra.settings_page import variable_name
from switchyard.ingress.settings import IngressSettings
from switchyard.processes.console_settings import ConsoleSettings
from switchyard.runtime.models.clients import ModelSettings
from tests.reference import topology
from tests.unit.terraform.reading import ENVIRONMENTS, MODULES, ROOT, blocks, parsed, resources, values
from tests.unit.terraform.rendering import FACTS

DOCUMENT = next(each for each in READS if each.name == "get_openapi")
ALL = {(module.name, *key): body for module in MODULES for key, body in resources(module).items()}


def of(type_: str) -> dict[str, dict[str, Any]]:
    """Every resource of a type, by module and name."""
    found = {f"{module}.{name}": body for (module, each, name), body in ALL.items() if each == type_}
    assert found, f"there is no {type_}"
    return found


def test_queue_is_encrypted_and_has_the_times_of_the_topology() -> None:
    queues = of("aws_sqs_queue")
    assert set(queues) == {"agent.this", "agent.dead_letters", "bus.undecryptable"}
    # What the bus's own key cannot decrypt may not depend on a key of ours.
    assert queues.pop("bus.undecryptable")["sqs_managed_sse_enabled"] is True
    assert queues["agent.this"]["message_retention_seconds"] == "${var.queues.retention_seconds}"
    assert queues["agent.dead_letters"]["message_retention_seconds"] == "${var.queues.dead_letter_retention_seconds}"
    for queue in queues.values():
        assert queue["kms_master_key_id"] == "${var.queues_key_arn}"
        assert queue["visibility_timeout_seconds"] == "${var.queues.visibility_seconds}"
    day = 86_400
    assert topology()["queues"] == {
        "visibility_seconds": 30,
        "retention_seconds": 7 * day,
        "dead_letter_retention_seconds": 14 * day,
        "max_receives": 100,
    }


def test_queue_and_rule_have_a_policy_and_a_dead_letter_queue() -> None:
    assert {policy["queue_url"] for policy in of("aws_sqs_queue_policy").values()} == {
        "${each.value.id}",
        "${aws_sqs_queue.dead_letters.id}",
        "${aws_sqs_queue.undecryptable.id}",
    }
    assert "aws_sqs_queue.dead_letters.arn" in str(of("aws_sqs_queue")["agent.this"]["redrive_policy"])
    target = of("aws_cloudwatch_event_target")["agent.this"]
    assert target["dead_letter_config"] == [{"arn": "${aws_sqs_queue.dead_letters.arn}"}]
    assert target["retry_policy"] == [{"maximum_event_age_in_seconds": 86_400, "maximum_retry_attempts": 185}]


def test_queues_key_policy_has_no_condition_for_eventbridge() -> None:
    # AWS: aws:SourceAccount and aws:SourceArn in a key's policy are not supported for EventBridge's deliveries.
    [document] = [
        block["aws_iam_policy_document"]["queues_key"]
        for block in blocks(ROOT / "modules" / "bus", "data")
        if "queues_key" in block.get("aws_iam_policy_document", {})
    ]
    [delivers] = [each for each in document["statement"] if each["sid"] == "EventBridgeDelivers"]
    assert delivers["actions"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert "condition" not in delivers


def test_function_has_the_variables_that_it_reads() -> None:
    [function] = of("aws_lambda_function").values()
    given = re.findall(r"\b([A-Z][A-Z_]+)\b['\"]?\s*[=:]", str(function["environment"][0]["variables"]))
    assert sorted(given) == sorted(name.upper() for name in IngressSettings.model_fields)


def test_function_and_api_stage_depend_on_policy_and_log_group() -> None:
    [function] = of("aws_lambda_function").values()
    assert "${aws_iam_role_policy_attachment.vpc}" in function["depends_on"]
    [stage] = of("aws_api_gateway_stage").values()
    assert "${aws_cloudwatch_log_group.execution}" in stage["depends_on"]
    execution = of("aws_cloudwatch_log_group")["ingress.execution"]
    # API Gateway writes to this name, and creates the log group without a key if it does not exist.
    assert execution["name"] == "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.this.id}/${var.stage}"


def test_queue_accepts_messages_of_its_own_rules_over_tls_only() -> None:
    text = (ROOT / "modules" / "agent" / "queue.tf").read_text()
    policy = text[text.index('data "aws_iam_policy_document" "queue"') :]
    assert "for rule in aws_cloudwatch_event_rule.this : rule.arn" in policy
    assert policy.index('"aws:SourceArn"') < policy.index('"NothingInTheClear"') < policy.index('"aws:SecureTransport"')


def test_queue_names_come_from_the_topology_only() -> None:
    queue = of("aws_sqs_queue")["agent.this"]
    assert queue["for_each"] == "${toset(concat([${var.consumer.queue}], var.consumer.lanes))}"
    assert (queue["name"], queue.get("fifo_queue")) == ("${each.key}", None)
    assert of("aws_sqs_queue")["agent.dead_letters"]["name"] == "${var.consumer.dead_letter_queue}"
    rule = of("aws_cloudwatch_event_rule")["agent.this"]
    assert (rule["for_each"], rule["event_pattern"]) == ("${var.consumer.rules}", "${each.value.pattern}")
    [agent] = [block["agent"] for block in blocks(ROOT, "module") if "agent" in block]
    assert agent["for_each"] == "${local.topology.consumers}"
    consumers = topology()["consumers"].values()
    for name in {queue for consumer in consumers for queue in (consumer["queue"], *consumer["lanes"])}:
        for path in ROOT.rglob("*.tf"):
            assert f'"{name}"' not in path.read_text(), f"{path} must not name the queue {name}"


def test_databases_are_private_encrypted_backed_up_with_iam() -> None:
    [database] = of("aws_db_instance").values()
    assert database["publicly_accessible"] is False
    assert database["storage_encrypted"] is True
    assert database["iam_database_authentication_enabled"] is True
    assert database["backup_retention_period"] == "${var.backup_days}"
    assert "rds.force_ssl" in (ROOT / "modules" / "database" / "main.tf").read_text()
    used = [name for block in blocks(ROOT, "module") for name in block if name.endswith("_db")]
    assert sorted(used) == ["audit_db", "work_db"]


def test_checkpoints_bucket_has_object_lock_and_the_key_signs() -> None:
    assert of("aws_s3_bucket")["checkpoints.this"]["object_lock_enabled"] is True
    key = of("aws_kms_key")["checkpoints.this"]
    assert (key["customer_master_key_spec"], key["key_usage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")


def test_bucket_is_private_and_encrypted() -> None:
    for name in of("aws_s3_bucket"):
        assert set(of("aws_s3_bucket_public_access_block")[name].values()) >= {True}
        assert name in of("aws_s3_bucket_server_side_encryption_configuration")
        assert "aws:SecureTransport" in (ROOT / "modules" / name.split(".")[0] / "main.tf").read_text()


def test_caller_over_the_limit_gets_429_with_retry_after_before_the_function_runs() -> None:
    acl = of("aws_wafv2_web_acl")["ingress.this"]
    [rule] = [rule for rule in acl["rule"] if rule["name"] == "caller"]
    [response] = rule["action"][0]["block"][0]["custom_response"]
    assert response["response_code"] == 429
    assert [header["name"] for header in response["response_header"]] == ["Retry-After"]
    [limited] = rule["statement"][0]["rate_based_statement"]
    assert (limited["limit"], limited["aggregate_key_type"]) == ("${var.caller_limit}", "CUSTOM_KEYS")
    assert limited["custom_key"][0]["header"][0]["name"] == "authorization"
    assert rule["priority"] == min(other["priority"] for other in acl["rule"])
    throttled = of("aws_api_gateway_gateway_response")["ingress.throttled"]
    assert (throttled["response_type"], throttled["status_code"]) == ("THROTTLED", "429")
    assert PROBLEM_TYPE in str(throttled["response_parameters"])
    for answer in (str(throttled["response_templates"]), str(acl["custom_response_body"])):
        assert all(name in answer for name in ("title", "status", "code", "detail", "remedy"))
        assert TooManyRequests.code in answer


def test_blocked_requests_are_logged_without_tokens() -> None:
    logging = of("aws_wafv2_web_acl_logging_configuration")["ingress.this"]
    assert logging["log_destination_configs"] == ["${aws_cloudwatch_log_group.waf.arn}"]
    assert of("aws_cloudwatch_log_group")["ingress.waf"]["name"].startswith("aws-waf-logs-")
    assert {field["single_header"][0]["name"] for field in logging["redacted_fields"]} == {
        "authorization",
        "x-refresh-token",
    }
    [kept] = logging["logging_filter"]
    assert kept["default_behavior"] == "DROP"


def test_log_group_is_encrypted_and_has_a_retention() -> None:
    for name, group in of("aws_cloudwatch_log_group").items():
        assert "logs" in group["kms_key_id"], name
        assert group["retention_in_days"] in {"${var.log_days}", "${var.shared.log_days}"}, name


def test_egress_to_the_internet_needs_a_vendor_in_the_card() -> None:
    open_to_the_internet = {
        name for name, rule in of("aws_vpc_security_group_egress_rule").items() if rule.get("cidr_ipv4") == "0.0.0.0/0"
    }
    assert open_to_the_internet == {"process.outside", "ingress.identity"}
    assert of("aws_vpc_security_group_egress_rule")["process.outside"]["count"] == (
        "${length(var.process.egress) > 0 ? 1 : 0}"
    )


def test_endpoints_refuse_credentials_and_resources_of_other_accounts() -> None:
    files = [parsed(path) for path in (ROOT / "modules" / "network").glob("*.tf")]
    [document] = [
        block["aws_iam_policy_document"]["endpoints"]
        for file in files
        for block in file.get("data", [])
        if "endpoints" in block.get("aws_iam_policy_document", {})
    ]
    [statement] = document["statement"]
    [account], [narrower] = statement["condition"], statement["dynamic"]
    ours = ["${data.aws_caller_identity.current.account_id}"]
    assert (account["variable"], account["values"]) == ("aws:PrincipalAccount", ours)
    assert "local.own_resources, each.key" in narrower["condition"]["for_each"]
    assert narrower["condition"]["content"][0]["values"] == ours
    [names] = [block["own_resources"] for file in files for block in file.get("locals", []) if "own_resources" in block]
    assert set(re.findall(r"[a-z]{3,}", names)) - {"toset"} == {"sqs", "events", "secretsmanager", "kms"}
    policy = of("aws_vpc_endpoint")["network.interface"]["policy"]
    assert policy == "${data.aws_iam_policy_document.endpoints[each.key].json}"


def test_identity_service_is_reached_by_its_callers_on_its_port_only() -> None:
    ingress = of("aws_vpc_security_group_ingress_rule")
    [rule] = [body for name, body in ingress.items() if name.startswith("identity.")]
    assert rule["for_each"] == "${var.callers}"
    assert rule["referenced_security_group_id"] == "${each.value}"
    assert rule["from_port"] == rule["to_port"] == "${var.server.port}"
    [used] = [block["identity"] for block in blocks(ROOT, "module") if "identity" in block]
    assert "ingress.security_group_id" in str(used["callers"])
    assert topology()["servers"]["identity"]["callers"] == list(LOCAL_IDENTITY.agents)
    [process] = [block["process"] for block in blocks(ROOT / "modules" / "identity", "module")]
    assert "load_balancer" not in process, "it terminates mutual TLS itself"


def test_console_and_api_are_reached_over_tls_from_named_networks_only() -> None:
    balancer, listener = of("aws_lb")["web.this"], of("aws_lb_listener")["web.this"]
    assert balancer["internal"] is True
    assert (listener["protocol"], listener["port"]) == ("HTTPS", 443)
    assert listener["ssl_policy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert [name for name in of("aws_lb_listener") if name.startswith("web.")] == ["web.this"], "no plain HTTP"
    callers = of("aws_vpc_security_group_ingress_rule")["web.callers"]
    assert (callers["for_each"], callers["cidr_ipv4"]) == ("${var.callers}", "${each.value}")
    assert callers["from_port"] == callers["to_port"] == 443
    # Only the load balancer reaches the tasks.
    [rule] = [
        body for name, body in of("aws_vpc_security_group_ingress_rule").items() if name == "process.load_balancer"
    ]
    assert rule["referenced_security_group_id"] == "${var.load_balancer.security_group_id}"
    for environment in ENVIRONMENTS:
        for reached in ("console", "api"):
            assert "0.0.0.0/0" not in values(environment)[reached]["networks"]


def test_health_check_of_the_load_balancer_is_an_answer_without_a_database() -> None:
    [checks] = [block["health_checks"] for block in blocks(ROOT, "locals")]
    assert checks == {
        "console": {"path": ENDPOINTS["login"].path, "status": "303"},
        "api": {"path": DOCUMENT.path, "status": "200"},
    }
    assert ENDPOINTS["login"].roles is None
    assert DOCUMENT.open


def test_console_and_api_log_in_to_both_databases_and_identity_to_its_own() -> None:
    servers = topology()["servers"]
    assert servers["console"]["databases"] == servers["api"]["databases"] == ["work", "audit"]
    assert servers["identity"]["databases"] == ["work"]
    assert all(len(consumer["databases"]) <= 1 for consumer in topology()["consumers"].values())


def test_environments_are_a_values_file_and_a_backend_file_each() -> None:
    assert sorted(path.stem for path in ROOT.glob("*.tfvars")) == sorted(ENVIRONMENTS)
    assert sorted(path.name for path in ROOT.glob("*.hcl")) == [f"backend.{name}.hcl" for name in sorted(ENVIRONMENTS)]
    assert not list(ROOT.glob("*.auto.tfvars")), "terraform would read it for both environments"
    assert not (ROOT / "terraform.tfvars").exists(), "terraform would read it for both environments"


def test_environments_share_no_account_and_no_bucket() -> None:
    own: list[str] = []
    for name in ENVIRONMENTS:
        backend, given = parsed(ROOT / f"backend.{name}.hcl"), values(name)
        assert set(backend) == {"bucket", "key", "region", "encrypt", "use_lockfile"}
        assert (backend["encrypt"], backend["use_lockfile"]) == (True, True)
        assert given["environment"] == name
        own += [given["account"], backend["bucket"], given["objects_bucket"], given["checkpoints"]["bucket"]]
    assert len(set(own)) == len(own)
    # The provider rejects the values of one environment with the credentials of another.
    [provider] = blocks(ROOT, "provider")
    assert provider["aws"]["allowed_account_ids"] == ["${var.account}"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environment_has_a_value_for_every_variable_and_no_other(environment: str) -> None:
    declared = {name for block in blocks(ROOT, "variable") for name in block}
    given = values(environment)
    # `frozen` is given on the command line, in an emergency; `identity` belongs to applications without an ingress.
    assert declared - {"frozen", "identity"} == set(given)
    processes = topology()["consumers"] | topology()["servers"]
    wanted = {process["name"] for process in processes.values()} | {"cli", "collector"}
    assert set(given["images"]) == wanted


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_tasks_are_counted_where_a_process_may_have_more_than_two(environment: str) -> None:
    given = values(environment)
    sizes = [given["default_size"], given["agent_size"], *given["sizes"].values()]
    if not given["container_insights"]:
        assert all(size["fewest"] == 1 and size["most"] <= 2 for size in sizes)
    assert given["spot"] is False or environment == "dev", "AWS may take every Spot task away at once"


def test_facts_of_the_generated_files_are_defined_in_terraform() -> None:
    wanted = {
        name for path in GENERATED_FOLDER.rglob("*.json") for name in re.findall(r"\$\{(\w+)\}", path.read_text())
    }
    [found] = [block["facts"] for block in blocks(ROOT, "locals")]
    given = set(re.findall(r"(\w+)\s*=(?![=>])", str(found))) | set(re.findall(r"""['"]?(\w+)['"]?\s*:""", str(found)))
    secrets = {f"secret_{name}" for name in topology()["secrets"]}
    assert wanted - secrets <= given
    assert wanted <= set(FACTS)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_module_gets_exactly_its_variables(module: Path) -> None:
    declared = {name: body for block in blocks(module, "variable") for name, body in block.items()}
    required = {name for name, body in declared.items() if "default" not in body}
    uses = [
        body
        for folder in (ROOT, *MODULES)
        for block in blocks(folder, "module")
        for body in block.values()
        if body["source"] in {f"./modules/{module.name}", f"../{module.name}"}
    ]
    assert uses, "no module uses it"
    for body in uses:
        given = set(body) - {"source", "for_each", "count"}
        assert required <= given <= set(declared)
    text = "".join(path.read_text() for path in module.glob("*.tf"))
    assert {name for name in declared if f"var.{name}" not in text} == set(), "every variable must be used"
    assert set(re.findall(r"\bvar\.(\w+)", text)) <= set(declared)


@pytest.mark.parametrize("folder", [*MODULES, ROOT], ids=lambda path: path.name)
def test_references_point_to_existing_resources_and_outputs(folder: Path) -> None:
    text = "".join(path.read_text() for path in folder.glob("*.tf"))
    made = {f"{type_}.{name}" for type_, name in resources(folder)}
    made |= {
        f"data.{type_}.{name}" for block in blocks(folder, "data") for type_, named in block.items() for name in named
    }
    for reference in re.findall(r"(?<![\w.\"])((?:data\.)?aws_\w+\.\w+)", text):
        assert reference in made, reference
    outputs = {
        name: {each for block in blocks(ROOT / "modules" / body["source"].split("/")[-1], "output") for each in block}
        for block in blocks(folder, "module")
        for name, body in block.items()
    }
    for module, output in re.findall(r"\bmodule\.(\w+)\.(\w+)", text):
        assert output in outputs[module], f"module.{module}.{output}"


@pytest.mark.parametrize("path", sorted((ROOT / "modules" / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_dashboard_is_json_after_its_facts_are_inserted(path: Path) -> None:
    lists = {"depths": "[]", "dead": "[]", "ages": "[]"}
    text = re.sub(r"\$\{(\w+)\}", lambda found: lists.get(found[1], found[1]), path.read_text())
    for widget in json.loads(text)["widgets"]:
        assert widget["properties"]["region"] == "region"
        assert widget["properties"]["title"]


def test_files_are_formatted_by_terraform_fmt() -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform is not installed; `make terraform-check` requires it")
    command = [terraform, f"-chdir={ROOT}", "fmt", "-check", "-recursive"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_prices_and_quotas_are_one_value_for_those_who_call_models_and_the_console() -> None:
    assert {variable_name(ModelSettings, "prices"), variable_name(ConsoleSettings, "model_prices")} == {
        "SWITCHYARD_MODEL_PRICES"
    }
    assert variable_name(ModelSettings, "quotas") == "SWITCHYARD_MODEL_QUOTAS"
    text = (ROOT / "locals.tf").read_text(encoding="utf-8")
    assert "{ SWITCHYARD_MODEL_PRICES = jsonencode(var.models.prices) }" in text
    assert "{ SWITCHYARD_MODEL_QUOTAS = jsonencode(var.models.quotas) }" in text
    [environment] = re.findall(r"extra_environment += (.*)", text)
    assert environment.startswith("merge(try(process.calls_models, false) ? merge(local.prices, local.quotas)")
    assert 'node == "console" ? local.prices' in environment
