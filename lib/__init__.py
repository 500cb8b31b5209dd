"""A language model, floor by floor, as the lessons build it.

    tokenizer · ngram · attention · …        the model, each module resting on those before it
    corpora                                  what models read
    course                                   what makes the notebooks teach

Whatever a learner has passed stands in the workbook and takes the place of the reference here, at
import; `TOKENS_LIB=reference` switches that off.
"""

from lib.course.workbook import watch_imports

__version__ = "1.0.0"

watch_imports()
