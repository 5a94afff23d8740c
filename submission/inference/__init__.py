"""The engine: test-time training, exact threshold search over a token tree, scoring, sampling."""
