"""Runs as files that others can open: one module for each format.

    from babypoet.exporting import page
    page.share(run, Path("poet.html"))          # babypoet share -o poet.html

Everything here reads a run folder and changes nothing in it. It needs no torch."""
