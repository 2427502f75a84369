"""Speed and weight, measured on this machine against real processes: `python -m bench`."""
