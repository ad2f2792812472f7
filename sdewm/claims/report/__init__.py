"""The report: one self-contained page of verdicts, made from files alone."""

from .page import write_report as write_report
from .parts import Picture as Picture
from .parts import Section as Section
from .parts import Table as Table
