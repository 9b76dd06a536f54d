"""What operators want of the workers: rules, their order, and what they come to.

`model` holds policies as plain data, `rules` changes and judges them, `verdicts`
works out what they say to one worker and its events.

Rules:
- pure: no clock, no input or output; the time comes in as an argument;
- hub and collector share this, so that both give the same answer.
"""
