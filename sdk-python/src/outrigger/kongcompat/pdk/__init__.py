"""Where Kong's package has its type stubs."""
