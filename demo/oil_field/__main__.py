"""`python -m demo.oil_field serve --issuer URL --audience ACCOUNT`: the warehouse for Snowflake's connector."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo.oil_field.warehouse import OIL_FIELD_FOLDER, InvalidRoles, open_warehouse
from services.specialists.text_to_sql.schema import SchemaError
from switchyard.devstack.simulators.snowflake.load import WarehouseDataInvalid
from switchyard.devstack.simulators.snowflake.server import serve_warehouse

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m demo.oil_field", description=__doc__)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument(
        "--folder", type=Path, default=OIL_FIELD_FOLDER, help="schema.toml, and TABLE.csv or TABLE.csv.gz"
    )
    parser.add_argument(
        "--role", action="append", default=[], help="a role that sees all, where there is no roles.toml"
    )
    parser.add_argument("--issuer", required=True, help="the token exchange whose tokens are accepted")
    parser.add_argument("--audience", required=True, help="this account, as tokens name it")
    given = parser.parse_args()
    try:
        served = open_warehouse(given.folder, given.role)
    except (SchemaError, InvalidRoles, WarehouseDataInvalid) as error:
        sys.exit(str(error))
    serve_warehouse(served, issuer=given.issuer, audience=given.audience, host=given.host, port=given.port)
