"""The generated files with their facts inserted, as by terraform's `templatefile`."""

from __future__ import annotations

import json
import re
from typing import Any

from switchyard.infra.generate import GENERATED_FOLDER

REGION, ACCOUNT = "us-east-1", "111122223333"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:switchyard/"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"

FACTS = {
    "partition": "aws",
    "region": REGION,
    "account": ACCOUNT,
    "code_version": "0123abc",
    "otlp_endpoint": "http://collector.switchyard.internal:4318",
    "objects_bucket": "acme-objects",
    "checkpoints_bucket": "acme-checkpoints",
    "checkpoints_key_arn": KEY + "checkpoints",
    "checkpoint_lock_mode": "GOVERNANCE",
    "checkpoint_keep_days": "30",
    "checkpoint_public_key": "MFkwEwYHKoZIzj0CAQ==",
    "receipts_key_arn": KEY + "receipts",
    "receipt_public_key": "MFkwEwYHKoZIzj0CAQ==",
    "rows_key_arn": KEY + "rows",
    "vault_key_arn": KEY + "vault",
    "queues_key_arn": KEY + "queues",
    "objects_key_arn": KEY + "objects",
    "secrets_key_arn": KEY + "secrets",
    "work_db_host": "work.abc.rds.example",
    "work_db_resource_id": "db-WORK",
    "audit_db_host": "audit.abc.rds.example",
    "audit_db_resource_id": "db-AUDIT",
    "work_db_owner_secret": SECRET + "rds-work",
    "work_db_key_arn": KEY + "work",
    "audit_db_owner_secret": SECRET + "rds-audit",
    "audit_db_key_arn": KEY + "audit",
    "db_ca_file": "/etc/ssl/rds.pem",
    "bedrock_model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "bedrock_foundation_model": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "bedrock_guardrail": "abc123",
    "embedding_model": "amazon.titan-embed-text-v2:0",
    "guardrail_version": "7",
    "openai_model": "gpt-5.2",
    "snowflake_account": "acme-prod",
    "snowflake_warehouse": "AGENTS",
    "email_domain": "harborline.example",
    "configuration_set": "switchyard",
    "identity_kms_key_id": KEY + "credentials",
    "identity_tls_ca": "/tmp/identity/ca.pem",
    "work_orders_url": "https://work-orders.acme.example",
    "work_orders_audience": "https://work-orders.acme.example",
    "snowflake_audience": "https://acme.snowflakecomputing.com",
    "wells_audience": "https://wells.acme.example",
    "role_scope": "session:role:",
    "identity_url": "https://identity.switchyard.internal:8081",
    "identity_tls_certificate": "/tmp/identity/own.pem",
    "identity_tls_key": "/tmp/identity/own.key",
    "exchange_clients_file": "/tmp/identity/clients.json",
    "idp_issuer": "https://login.example/",
    "idp_jwks_url": "https://login.example/jwks.json",
    "idp_audience": "switchyard",
    "idp_tenant_claim": "tenant",
    "idp_role_claim": "role",
    "idp_token_url": "https://login.example/token",
    "idp_client_id": "switchyard",
    "idp_authorize_url": "https://login.example/authorize",
    "console_url": "https://console.harborline.example",
    "console_client_id": "console",
    "exchange_issuer": "https://exchange.example/",
    "exchange_jwks_url": "https://exchange.example/jwks.json",
    "exchange_token_url": "https://exchange.example/token",
    "optout_url": "https://mail.harborline.example",
    **{
        f"secret_{name}": SECRET + name
        for name in json.loads((GENERATED_FOLDER / "topology.json").read_text())["secrets"]
    },
}
"""The facts of a deployment: `facts` in terraform/locals.tf."""


def rendered(name: str) -> Any:
    """A generated file with the facts inserted. Raises `KeyError` for an unknown fact."""
    return json.loads(re.sub(r"\$\{(\w+)\}", lambda found: FACTS[found[1]], (GENERATED_FOLDER / name).read_text()))
