"""Claims about models that are trained on purpose, each by a protocol that was fixed before its run."""
