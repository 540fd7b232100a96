"""When a schedule fires: texts become calendars, calendars give slots. No I/O but the zone files, no clock."""
