"""Studies: many runs, one table, and whether a paper's claims hold here."""

from fairjax.study.conduct import conduct as conduct
from fairjax.study.runs import chosen as chosen
from fairjax.study.runs import expand as expand
from fairjax.study.summary import save_study as save_study
from fairjax.study.summary import summarise as summarise
