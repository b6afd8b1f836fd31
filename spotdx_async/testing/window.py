"""The fake's memory as a test reaches it from the server: what there is, and what was executed. Pure."""

from spotdx_async.testing.fake_spot import SpotState
from spotdx_async.testing.kits import Kits
from spotdx_async.testing.ledgers import Creation, LedgerEntry, OrderLedgerEntry
from spotdx_async.testing.orders import Orders
from spotdx_async.testing.patients import FakePatient, Patients
from spotdx_async.testing.requisitions import Requisitions

__all__ = ["Window"]


class Window:
    """A view of a state, and its one token."""

    def __init__(self, state: SpotState, token: str) -> None:
        self.state = state
        self._token = token

    @property
    def token(self) -> str:
        """The token to use; setting it rotates it: the old one is refused from then on."""
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        with self.state.lock:
            self.state.tokens.discard(self._token)
            self.state.tokens.add(token)
            self._token = token

    @property
    def accepted_tokens(self) -> set[str]:
        """All tokens that are accepted now; may be changed."""
        return self.state.tokens

    @property
    def kits(self) -> Kits:
        """The kits by id."""
        return self.state.kits

    @property
    def ledger(self) -> list[LedgerEntry]:
        """Every executed update of a kit's metadata, in order."""
        return self.state.ledger

    @property
    def orders(self) -> Orders:
        """The orders by id."""
        return self.state.orders

    @property
    def order_ledger(self) -> list[OrderLedgerEntry]:
        """Every executed update of an order's metadata, in order."""
        return self.state.order_ledger

    @property
    def requisitions(self) -> Requisitions:
        """The requisitions by id."""
        return self.state.requisitions

    @property
    def patients(self) -> Patients:
        """The patients by id."""
        return self.state.patients

    @property
    def creations(self) -> list[Creation]:
        """Every executed create, in order: what must not happen twice."""
        return self.state.creations

    def redeem(self, token: str, kit_id: str | None = None) -> FakePatient:
        """Use a registration token up, as the vendor's page does: see ``World.redeem``."""
        return self.state.redeem(token, kit_id)
