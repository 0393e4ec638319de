"""The engine behind the PDK: wire, lanes, calls and control plane. Nothing here is public."""
