"""Who asks Redis: sync or async, with retries and time-outs, one client per alias."""
