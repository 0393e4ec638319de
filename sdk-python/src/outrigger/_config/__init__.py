"""Configuration of plugins: JSON Schema of dataclasses and of Kong's lists, and configurations checked against it."""
