"""What is asked of Redis, as words: no client, no Django, nothing that waits."""
