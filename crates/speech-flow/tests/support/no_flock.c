/* A volume whose flock lies: every lock is granted at once and keeps nobody out. Each call leaves a byte in the
 * file that NO_FLOCK_LOG names, so that a test can tell that this function was the one that was called. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int flock(int descriptor, int operation)
{
    const char *path = getenv("NO_FLOCK_LOG");
    int log = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;

    (void)descriptor;
    (void)operation;
    if (log >= 0) {
        ssize_t written = write(log, ".", 1);

        (void)written;
        close(log);
    }
    return 0;
}
