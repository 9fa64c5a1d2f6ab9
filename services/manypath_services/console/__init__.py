"""The console: a page beside a running system, where people look before they read. Knows neither codec nor torch."""
