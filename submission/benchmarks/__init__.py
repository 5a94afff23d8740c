"""Measurements: test-time training, search and scoring, time scaling, forecasts, the synthesis of programs."""
