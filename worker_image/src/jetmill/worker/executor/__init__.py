"""Where handlers run: on the loop, on threads, in child processes, as commands."""
