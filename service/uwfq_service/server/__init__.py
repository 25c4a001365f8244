"""The asyncio shell around the core: carries requests in and facts out."""
