"""How fast the engine is, beside pythae, a plain loop and the limits of the machine; see README.md here."""
