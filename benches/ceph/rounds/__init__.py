"""Fanlight, Glance, glance_store's driver and the `rbd` command on the same two clusters, in turn."""
