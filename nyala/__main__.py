"""``python -m nyala``: the command line."""

from nyala.cli import main

if __name__ == "__main__":
    main()
