"""Version 1 of the UWFQ protocol: generated, never edited."""
