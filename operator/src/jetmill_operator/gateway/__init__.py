"""The gateway: REST, live streams and the dashboard, over HTTP."""
