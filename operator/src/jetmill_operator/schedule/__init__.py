"""Schedules for people: the command `jetmill schedule`."""
