"""One file for each exercise; `checks.exercise` finds them here."""
