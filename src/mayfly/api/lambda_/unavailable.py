"""What Lambda's functions may have and Mayfly's may not yet: refused, never silently left out.

A setting that nobody acts upon is worse than an error. An empty one (`VpcConfig` without subnets,
as some tools send it) means "none" and passes.
"""

from __future__ import annotations

import os

from mayfly.api.refusals import NotImplementedYet
from mayfly.api.wire.params import Params
from mayfly.model.errors import InvalidParameter

_LACKING = {
    "ImageConfig": "container images",
    "Layers": "layers",
    "VpcConfig": "VPCs (a function reaches what its grants name)",
    "FileSystemConfigs": "file systems",
    "CodeSigningConfigArn": "code signing",
    "TenancyConfig": "tenants",
    "CapacityProviderConfig": "capacity providers",
    "DurableConfig": "durable executions",
    "AcceleratorConfig": "accelerators",
    "PublishTo": "published versions",
    "Publish": "published versions",
}
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


def architecture() -> str:
    """This machine's, as AWS calls it."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def refuse_unavailable(params: Params) -> None:
    """Refuse settings that ask for what is not there.

    Raises:
        NotImplementedYet: Naming the member.
        InvalidParameter: The code is for another machine.
    """
    if params.text("PackageType", "Zip") != "Zip":
        raise _lacking("PackageType", "container images")
    for member, what in _LACKING.items():
        if _asks(params.get(member)):
            raise _lacking(member, what)
    wanted = params.texts("Architectures")
    if wanted and wanted != [architecture()]:
        raise InvalidParameter(
            f"this machine runs {architecture()} code, not {', '.join(wanted)}; set Architectures "
            f"to [{architecture()}] or leave it out"
        )


def refuse_code_source(params: Params) -> None:
    """Refuse code that does not come as an archive in the request.

    Raises:
        NotImplementedYet: It lies in S3 or in an image registry.
        InvalidParameter: There is none at all.
    """
    if "S3Bucket" in params or "S3Key" in params:
        raise NotImplementedYet(
            "Mayfly does not take code from S3 yet; send the archive itself as ZipFile"
        )
    if "ImageUri" in params:
        raise NotImplementedYet(
            "Mayfly does not run container images yet; send a zip archive as ZipFile"
        )
    if "ZipFile" not in params:
        raise InvalidParameter("Please provide a source for function code.")


def _asks(value: object) -> bool:
    """Whether a setting asks for anything: empty structures, lists and texts do not."""
    if isinstance(value, dict):
        return any(_asks(one) for one in value.values())
    return bool(value)


def _lacking(member: str, what: str) -> NotImplementedYet:
    return NotImplementedYet(f"Mayfly does not have {what} yet; leave out {member}")
