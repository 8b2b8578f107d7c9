"""Methods of certification: one file each in `methods/`, loaded by name.

A method turns `Evidence` into certificates: a table with one row per image, in the format of `log.py`.
"""

from typing import TYPE_CHECKING, Any, Literal, Protocol

from accelerated_smoothing import registry

if TYPE_CHECKING:
    import pandas as pd

    from accelerated_smoothing.certify.evidence import Evidence

PLUGINS = {"certifier": "certify.methods"}

Guarantee = Literal["deterministic", "sound", "memory", "conformal", "estimated"]  # see `guarantees`


class Method(Protocol):
    """What a module in `methods/` offers.

    Attributes:
        GUARANTEE: what its radii are worth.
        NEEDS: names of the fields of `Evidence` that it reads. The workflow builds these and no others.
        ONLINE: optional; whether it asks for estimation draws only as it needs them, so that they can be made online.
        Settings: a config `Section`, the settings of the method. A field `n` is the number of estimation draws.
    """

    @property
    def GUARANTEE(self) -> Guarantee: ...  # noqa: N802

    @property
    def NEEDS(self) -> tuple[str, ...]: ...  # noqa: N802

    @property
    def Settings(self) -> Any: ...  # noqa: N802

    def certify(self, evidence: "Evidence", settings: Any) -> "pd.DataFrame":
        """Return the certificates of all images of the evidence."""
        ...


def method(name: str) -> Method:
    """Load a method.

    Raises:
        InputError: `name` is not the name of a method.
    """
    module: Method = registry.load("certify.methods", name, "certifier")
    return module
