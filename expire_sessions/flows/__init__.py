"""What happens to a session, written once for sync and async."""
