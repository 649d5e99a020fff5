"""`python -m demo.oil_field generate FOLDER [--seed N]`, or `serve [--port N] [--folder FOLDER]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo.oil_field.generate import WAREHOUSE_SEED, generate_oil_field, write_csv
from services.specialists.text_to_sql.schema import load_schema
from switchyard.devstack.simulators.snowflake.load import column_names


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m demo.oil_field", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("generate", help="write the synthetic oil field as CSV files")
    make.add_argument("folder", type=Path)
    make.add_argument("--seed", type=int, default=WAREHOUSE_SEED)
    serve = commands.add_parser("serve", help="serve it to the Snowflake connector over HTTP")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=0)
    serve.add_argument("--folder", type=Path, help="CSV files to serve; without it they are generated")
    serve.add_argument("--seed", type=int, default=WAREHOUSE_SEED)
    given = parser.parse_args()
    if given.command == "generate":
        write_csv(generate_oil_field(given.seed), given.folder, column_names(load_schema()))
        sys.stdout.write(f"wrote five tables to {given.folder}\n")
        return
    from switchyard.devstack.simulators.snowflake.server import serve_warehouse
    from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

    serve_warehouse(SnowflakeSimulator(folder=given.folder, seed=given.seed), host=given.host, port=given.port)


if __name__ == "__main__":
    main()
