/* SPDX-License-Identifier: Apache-2.0
 *
 * Forks as a library in C does that knows nothing of Python: called without the
 * GIL, so that another thread may be anywhere, also in the middle of an emit.
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static int exit_code_of(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return 255;
    return WEXITSTATUS(status);
}

/* Forks again and again; returns in how many children the descriptor was open, or
 * which died. */
int fork_often(int rounds, int fd)
{
    int failed = 0;
    for (int i = 0; i < rounds; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(fcntl(fd, F_GETFD) != -1);
        failed += exit_code_of(child) != 0;
    }
    return failed;
}

/* Forks, runs a program in the child, and returns its exit code. */
int fork_and_run(char *const *arguments)
{
    pid_t child = fork();
    if (child == 0) {
        execv(arguments[0], arguments);
        _exit(255);
    }
    return exit_code_of(child);
}
