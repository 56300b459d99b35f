"""Networks: plain modules without losses. ``forward(z, y=None)`` and ``forward(x, y=None)``."""
