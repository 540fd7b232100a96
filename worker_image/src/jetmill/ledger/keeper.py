"""The keeper (rule 7)."""

from __future__ import annotations

from jetmill.bus.ports import Bus


class Keeper:
    """Restores lost hints, repeats cancel pushes, purges finished chains; any number may run."""

    def __init__(
        self,
        bus: Bus,
        *,
        name: str = "keeper",
        interval_seconds: float = 15.0,
        check_after_seconds: float = 60.0,
        check_all_seconds: float = 600.0,
    ) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Make a pass every `interval_seconds` until cancelled; goes on when NATS is back."""
        raise NotImplementedError

    async def pass_once(self) -> None:
        """Catch up with the ledger, then look after what needs it; raises BusError."""
        raise NotImplementedError
