"""Loaded by schemathesis: what a character class of a pattern stands for is worked out once.

Hypothesis spells a class out character by character, a million of them for our texts, and does so again for every
strategy that it builds: seven eighths of a run went there. What it draws does not change by this.
"""

from hypothesis.strategies._internal import regex

build = regex._strategy
known = {}


def remembered(codes, context, is_unicode, *, alphabet):
    if not (is_unicode and isinstance(codes, tuple) and codes[0] == regex.sre.IN):
        return build(codes, context, is_unicode, alphabet=alphabet)
    key = (repr(codes), context.flags, alphabet)
    if key not in known:
        known[key] = build(codes, context, is_unicode, alphabet=alphabet)
    return known[key]


regex._strategy = remembered
