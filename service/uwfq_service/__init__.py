"""The UWFQ scheduling service: who runs next, decided fairly across users."""
