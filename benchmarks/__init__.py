"""Speed of the engine next to pythae, a plain loop and the limits of the machine; see README.md here."""
