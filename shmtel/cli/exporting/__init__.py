"""What `shmtel export` is made of: where events come from, and what they become.

Rules:
- events pass one by one; what is remembered of them is bounded.
"""
