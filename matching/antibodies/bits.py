"""Best and worst answer in one byte, so that the worse of two answers is the union of their bits.

Of each answer there are two bits: none is negative, one not assessable, two positive; so what two
have in common is the better of them.
"""

from __future__ import annotations

from matching.antibodies.values import Answer

# Bits of the best and of the worst answer.
LOW, HIGH = 3, 12
# Chains of a pair join.
JOINED = 16
_OF_ANSWER = {Answer.NEGATIVE: 0, Answer.NOT_ASSESSABLE: 1, Answer.POSITIVE: 3}
_ANSWERS = (Answer.NEGATIVE, Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE, Answer.POSITIVE)


def packed(low: Answer, high: Answer) -> int:
    """The bits of a best and a worst answer.

    >>> packed(Answer.NOT_ASSESSABLE, Answer.POSITIVE)
    13
    """
    return _OF_ANSWER[low] | _OF_ANSWER[high] << 2


def unpacked(bits: int) -> tuple[Answer, Answer]:
    """The best and the worst answer.

    >>> unpacked(13) == (Answer.NOT_ASSESSABLE, Answer.POSITIVE)
    True
    """
    return _ANSWERS[bits & LOW], _ANSWERS[(bits & HIGH) >> 2]


# Nothing can be assessed.
UNKNOWN = packed(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE)
