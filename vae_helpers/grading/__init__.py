"""Grades a folder of submissions: `grade` takes the folder, and writes a table and a page for each learner.

A contained child process probes each notebook, and the grader's own process judges what it sends.
"""

from .batch import grade as grade
from .gradebooks import FORMATS as FORMATS
from .rows import LESSONS as LESSONS
from .rows import Row as Row
