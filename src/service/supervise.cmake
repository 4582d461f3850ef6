# Keeping services alive.
