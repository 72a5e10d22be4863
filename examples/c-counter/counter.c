/* Counter: counts seconds, and goes on where it was. No word about updates in here. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static long read_count(const char *path)
{
    long count = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld", &count) != 1)
        count = 0;
    fclose(file);
    return count;
}

/* A count that is there whole or not at all: the program may be killed at any moment. */
static int write_count(const char *path, long count)
{
    char new_path[4096];
    if (snprintf(new_path, sizeof new_path, "%s.new", path) >= (int)sizeof new_path)
        return -1;
    FILE *file = fopen(new_path, "w");
    if (file == NULL)
        return -1;
    int bad = fprintf(file, "%ld " VERSION "\n", count) < 0;
    return (fclose(file) != 0 || bad) ? -1 : rename(new_path, path);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("counter " VERSION);
        return 0;
    }
    if (argc != 2) {
        fputs("usage: counter FILE\n", stderr);
        return 2;
    }
#ifdef BROKEN
    abort();
#endif
    signal(SIGTERM, end);
    signal(SIGINT, end);
    long count = read_count(argv[1]);
    while (!ended) {
        if (write_count(argv[1], ++count) != 0) {
            perror(argv[1]);
            return 1;
        }
        printf("counter " VERSION ": %ld\n", count);
        fflush(stdout);
        sleep(1); /* a signal ends it */
    }
    return 0;
}
