// misfit WHAT [ARGS]: programs that behave badly, one way each.
//     leak MIB_PER_SECOND         allocates and touches memory until somebody stops it
//     daemon PIDFILE              forks twice, leaves its session, writes the grandchild's pid,
//     lives on in it; the first
//                                 process exits with 0
//     children PIDFILE            starts a child in a session of its own that ignores SIGTERM; both
//     live on flood PROGRESS              writes lines to standard output as fast as it can; ten
//     times a second it overwrites
//                                 PROGRESS with "LINES LONGEST_WRITE_MICROSECONDS\n"
//     exit CODE [AFTER_MS]        exits
//     signal NUMBER [AFTER_MS]    dies of the signal
//     say TEXT...                 prints each TEXT as a line, half of them split over two writes,
//     then lives on bytes                       prints bytes that are not UTF-8, and a line of
//     100,000 characters, then lives on
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void pause_ms(long ms) {
    struct timespec left = {ms / 1000, (ms % 1000) * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static void live_on(void) {
    for (;;) pause();
}

static void write_number(const char* path, long number) {
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE* file = fopen(temporary, "we");
    if (file == NULL) exit(4);
    fprintf(file, "%ld\n", number);
    fclose(file);
    if (rename(temporary, path) != 0) exit(4);
}

static void leak(long mib_per_second) {
    size_t step = (size_t)mib_per_second * 1024 * 1024 / 50;
    for (;;) {
        char* memory = malloc(step);
        if (memory == NULL) exit(5);
        memset(memory, 1, step);
        // The compiler must not see that nobody reads it.
        __asm__ volatile("" : : "r"(memory) : "memory");
        pause_ms(20);
    }
}

static void become_daemon(const char* pid_file) {
    if (fork() != 0) _exit(0);
    setsid();
    if (fork() != 0) _exit(0);
    write_number(pid_file, getpid());
    live_on();
}

static void with_child(const char* pid_file) {
    if (fork() == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        write_number(pid_file, getpid());
        live_on();
    }
    live_on();
}

static long microseconds_between(const struct timespec* from, const struct timespec* to) {
    return (to->tv_sec - from->tv_sec) * 1000000L + (to->tv_nsec - from->tv_nsec) / 1000L;
}

static void flood(const char* progress) {
    char line[1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    long lines = 0;
    long longest = 0;
    struct timespec reported = {0, 0};
    for (;;) {
        struct timespec before;
        struct timespec after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        if (write(STDOUT_FILENO, line, sizeof line) < 0 && errno != EAGAIN) exit(6);
        clock_gettime(CLOCK_MONOTONIC, &after);
        ++lines;
        long took = microseconds_between(&before, &after);
        if (took > longest) longest = took;
        if (microseconds_between(&reported, &after) < 100000) continue;
        reported = after;
        int fd = open(progress, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        char text[64];
        int size = snprintf(text, sizeof text, "%20ld %20ld\n", lines, longest);
        if (pwrite(fd, text, (size_t)size, 0) != size) exit(4);
        close(fd);
    }
}

static void die_of(int number) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(number, SIG_DFL);
    raise(number);
}

static void say(int count, char** texts) {
    for (int i = 0; i < count; ++i) {
        size_t size = strlen(texts[i]);
        size_t first = i % 2 == 0 ? size : size / 2;
        if (write(STDOUT_FILENO, texts[i], first) < 0) exit(6);
        if (first != size) pause_ms(20);
        if (write(STDOUT_FILENO, texts[i] + first, size - first) < 0) exit(6);
        if (write(STDOUT_FILENO, "\n", 1) < 0) exit(6);
    }
    live_on();
}

static void say_bytes(void) {
    printf("before \xff\xfe\x80 after\n");
    for (int i = 0; i < 100000; ++i) putchar('y');
    printf("\nafter the long line\n");
    fflush(stdout);
    live_on();
}

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    const char* what = argv[1];
    if (strcmp(what, "bytes") == 0) say_bytes();
    if (argc < 3) return 2;
    if (strcmp(what, "leak") == 0) leak(atol(argv[2]));
    if (strcmp(what, "daemon") == 0) become_daemon(argv[2]);
    if (strcmp(what, "children") == 0) with_child(argv[2]);
    if (strcmp(what, "flood") == 0) flood(argv[2]);
    if (strcmp(what, "say") == 0) say(argc - 2, argv + 2);
    if (argc > 3) pause_ms(atol(argv[3]));
    if (strcmp(what, "exit") == 0) return atoi(argv[2]);
    if (strcmp(what, "signal") == 0) die_of(atoi(argv[2]));
    return 2;
}
