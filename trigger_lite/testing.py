"""What a test of tasks imports.

>>> from trigger_lite.testing import run_inline
>>> run_inline(double, 21).unwrap()
42
"""

from trigger_lite.sdk.inline import run_inline
from trigger_lite.sdk.result import Err, InlineRun, Ok, Result

__all__ = ["Err", "InlineRun", "Ok", "Result", "run_inline"]
