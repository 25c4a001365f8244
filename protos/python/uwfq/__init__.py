"""Message and service stubs generated from the UWFQ protocol."""
