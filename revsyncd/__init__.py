"""revsyncd carries CSV drops from an ERP into Zuora Revenue and explains what became of each."""

__version__ = "0.1.0"
