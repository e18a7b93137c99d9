"""``python -m videollm`` is the program ``videollm``."""

from .cli import main

if __name__ == "__main__":
    main()
