"""The demo's well data: put into the bucket, and loaded from there as an operator does."""

from __future__ import annotations

from demo.oil_field.well_files import WELL_FILES, WELLS_AS_OF, WELLS_TENANT
from services.specialists.well_data.loading.load import InputFile, LoadedFile, load_files
from switchyard.cli.app.connections import open_aws_client, open_pool
from switchyard.cli.app.target import Target


async def load_demo_wells(target: Target) -> list[LoadedFile]:
    """Load the synthetic field's wells for the demo's tenant. Raises `CommandFailed` and `Unavailable`."""
    bucket, files = target.settings.objects_bucket, []
    async with open_aws_client(target, "s3") as s3, open_pool(target, "operator", "well_data") as pool:
        for path in WELL_FILES:
            key, data = f"wells/{WELLS_TENANT}/{path.name}", path.read_bytes()
            await s3.put_object(Bucket=bucket, Key=key, Body=data)
            files.append(InputFile(f"s3://{bucket}/{key}", data))
        return await load_files(pool, WELLS_TENANT, files, as_of=WELLS_AS_OF)
