// nursery COMMAND [ARG...]: runs a command the way a small init would, for tests that kill keepers.
//
// It is the subreaper of all that the command leaves behind, and reaps it, so that an orphan's end
// looks as it does under a real init: gone, not a zombie. When standard input ends, because the
// test closed it or died, every descendant is killed, and the nursery exits; nothing a test started
// outlives it.
//
// Says on standard output, one line each: "started PID", then "ended PID exit CODE" or "ended PID
// signal NUMBER" for the command itself only.
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { pids_max = 4096 };

static void reap(pid_t command) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != command) continue;
        if (WIFEXITED(status)) printf("ended %d exit %d\n", pid, WEXITSTATUS(status));
        if (WIFSIGNALED(status)) printf("ended %d signal %d\n", pid, WTERMSIG(status));
        fflush(stdout);
    }
}

static pid_t parent_of(pid_t pid) {
    char path[64];
    char line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE* file = fopen(path, "re");
    if (file == NULL) return 0;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    // The name in brackets may hold anything, brackets too: the fields go on after the last one.
    char* after_name = strrchr(line, ')');
    int parent = 0;
    if (after_name == NULL || sscanf(after_name + 1, " %*c %d", &parent) != 1) return 0;
    return parent;
}

// Kills whoever has us as an ancestor. Returns how many there were.
static int kill_descendants(void) {
    static pid_t known[pids_max];
    int count = 0;
    known[count++] = getpid();
    // Children may have lower numbers than their parents, so look until nobody new is found.
    for (int before = 0; before != count;) {
        before = count;
        DIR* directory = opendir("/proc");
        if (directory == NULL) return 0;
        for (struct dirent* entry; (entry = readdir(directory)) != NULL && count < pids_max;) {
            pid_t pid = (pid_t)atoi(entry->d_name);
            if (pid <= 0) continue;
            pid_t parent = parent_of(pid);
            int parent_known = 0;
            int self_known = 0;
            for (int i = 0; i < count; ++i) {
                parent_known |= known[i] == parent;
                self_known |= known[i] == pid;
            }
            if (parent_known && !self_known) known[count++] = pid;
        }
        closedir(directory);
    }
    for (int i = 1; i < count; ++i) kill(known[i], SIGKILL);
    return count - 1;
}

static void end_everything(void) {
    // A process that forks while we look escapes one round; a keeper that is dead forks no more, so
    // rounds end.
    for (int round = 0; round < 1000; ++round) {
        kill_descendants();
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD) return;
        poll(NULL, 0, 5);
    }
}

int main(int argc, char** argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s COMMAND [ARG...]\n", argv[0]);
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t wanted;
    sigset_t before;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wanted, &before);
    int children = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    int input = dup(STDIN_FILENO);

    pid_t command = fork();
    if (command == 0) {
        close(input);
        // A terminal's Ctrl-C reaches a process group; the command gets one of its own.
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (freopen("/dev/null", "r", stdin) == NULL) _exit(127);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execv(argv[1], argv + 1);
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        _exit(127);
    }
    printf("started %d\n", command);
    fflush(stdout);

    for (;;) {
        struct pollfd waits[2] = {{children, POLLIN, 0}, {input, POLLIN, 0}};
        if (poll(waits, 2, -1) < 0 && errno != EINTR) break;
        struct signalfd_siginfo info;
        while (read(children, &info, sizeof info) > 0) {
        }
        reap(command);
        char byte;
        if (waits[1].revents != 0 && read(input, &byte, 1) <= 0) break;
    }
    end_everything();
    return 0;
}
