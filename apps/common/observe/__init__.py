"""What the hub tells of itself: logs, figures, readiness."""
