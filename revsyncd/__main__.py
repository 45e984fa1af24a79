"""`python -m revsyncd` is `revsyncd`."""

from revsyncd.cli import main

if __name__ == "__main__":
    main()
