"""Networks: plain modules that know nothing of losses. ``forward(z, y=None)`` and ``forward(x, y=None)``."""
