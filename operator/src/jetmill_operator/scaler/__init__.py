"""The autoscaler's eyes and hands: what it observes on the bus and tells workers. The decisions are in `policy`."""
