"""What a user may ask of the server, one file per noun, its operation rows at the top; each imported on first use."""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.resources.kits import Kits
    from spotdx_async.resources.orders import Orders
    from spotdx_async.resources.patients import Patients
    from spotdx_async.resources.registration_tokens import RegistrationTokens
    from spotdx_async.resources.reports import Reports
    from spotdx_async.resources.requisitions import Requisitions

__all__ = ["Kits", "Orders", "Patients", "RegistrationTokens", "Reports", "Requisitions"]

if not TYPE_CHECKING:
    __getattr__ = names_from(
        __name__,
        {
            "resources.kits": "Kits",
            "resources.orders": "Orders",
            "resources.patients": "Patients",
            "resources.registration_tokens": "RegistrationTokens",
            "resources.reports": "Reports",
            "resources.requisitions": "Requisitions",
        },
    )
