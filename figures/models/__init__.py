"""Figures of the claims about models that are trained on purpose."""
