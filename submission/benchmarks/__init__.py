"""Measurements: settings, search, time scaling, forecasts."""
