"""A program whose multiprocessing pool makes a new worker for each task.

Arguments: start method, number of tasks.
"""

import multiprocessing
import sys

import shmtel


def work(number: int) -> int:
    """Do a task: one span, the only one of its process."""
    with shmtel.span("recycled.task", {"number": number}):
        return number


def main(method: str, count: int) -> None:
    """Run the tasks."""
    context = multiprocessing.get_context(method)
    with context.Pool(2, maxtasksperchild=1) as pool:
        done = pool.imap_unordered(work, range(count), chunksize=1)
        assert sorted(done) == list(range(count))
        pool.close()
        pool.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
