"""One file for each exercise; `checks.registry` finds them here."""
