"""The pipelines perform decided steps, record them and repeat them; the core decides."""
