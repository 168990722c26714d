"""Schedules: runs that start other runs, by cron or interval."""
