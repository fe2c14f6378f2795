"""Load test of Images API v2 servers side by side. Python's standard library, and wrk."""
