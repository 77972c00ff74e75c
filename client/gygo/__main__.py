"""``python -m gygo``: the command line."""

from gygo.cli import main

if __name__ == "__main__":
    main()
