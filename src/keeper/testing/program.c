// What services do, good and bad: the program that the keeper's tests run. argv[1] says what.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

extern char** environ;

static void say(const char* line) {
    printf("%s\n", line);
    fflush(stdout);
}

static void wait_for_ever(void) {
    for (;;) pause();
}

static void notify(const char* text) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char* name = getenv("NOTIFY_SOCKET");
    if (!name) exit(3);
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sendto(fd, text, strlen(text), 0, (struct sockaddr*)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0) {
        exit(4);
    }
    close(fd);
}

// A daemon as they used to be: in a session of its own, its parent gone. Prints its pid.
static void leave_a_daemon(void) {
    fflush(stdout);
    if (fork() == 0) {
        setsid();
        if (fork() > 0) _exit(0);
        signal(SIGTERM, SIG_IGN);
        printf("daemon %d\n", (int)getpid());
        fflush(stdout);
        wait_for_ever();
    }
}

static void print_surroundings(void) {
    char text[4096];
    struct rlimit limit;
    for (char** each = environ; *each; ++each) printf("env %s\n", *each);
    printf("directory %s\n", getcwd(text, sizeof text));
    printf("uid %d gid %d groups %d\n", (int)getuid(), (int)getgid(), getgroups(0, NULL));
    getrlimit(RLIMIT_NOFILE, &limit);
    printf("files %lu\n", (unsigned long)limit.rlim_cur);
    getrlimit(RLIMIT_CORE, &limit);
    printf("core %lu\n", (unsigned long)limit.rlim_cur);
    printf("pid %d session %d group %d\n", (int)getpid(), (int)getsid(0), (int)getpgrp());
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    printf("sigchld blocked %d sigpipe ignored %d\n", sigismember(&blocked, SIGCHLD),
           signal(SIGPIPE, SIG_DFL) == SIG_IGN);
    for (int fd = 0; fd < 64; ++fd) {
        if (fcntl(fd, F_GETFD) >= 0) printf("fd %d\n", fd);
    }
    say("end");
}

static void eat_memory(void) {
    for (;;) {
        volatile char* piece = malloc(1 << 20);
        if (!piece) exit(5);
        for (int at = 0; at < 1 << 20; at += 1024) piece[at] = 1;
    }
}

// Accepts on the first descriptor handed over; answers each connection with its pid.
static void serve(void) {
    for (;;) {
        int fd = accept(3, NULL, NULL);
        if (fd < 0) exit(6);
        dprintf(fd, "%d\n", (int)getpid());
        close(fd);
    }
}

int main(int argc, char** argv) {
    const char* what = argc > 1 ? argv[1] : "";
    long number = argc > 2 ? atol(argv[2]) : 0;
    if (!strcmp(what, "wait")) {
        say("waiting");
        wait_for_ever();
    } else if (!strcmp(what, "ignore-term")) {
        signal(SIGTERM, SIG_IGN);
        say("ignoring");
        wait_for_ever();
    } else if (!strcmp(what, "daemon")) {
        leave_a_daemon();
        wait_for_ever();
    } else if (!strcmp(what, "daemon-then-exit")) {
        leave_a_daemon();
        struct pollfd nothing = {.fd = -1};
        poll(&nothing, 1, 200);  // So that the daemon has said its pid.
        return 0;
    } else if (!strcmp(what, "exit")) {
        return (int)number;
    } else if (!strcmp(what, "exit-later")) {  // CODE, MILLISECONDS.
        struct pollfd nothing = {.fd = -1};
        poll(&nothing, 1, atoi(argv[3]));
        return (int)number;
    } else if (!strcmp(what, "say")) {
        say(argv[2]);
        fprintf(stderr, "%s\n", argv[3]);
        return 0;
    } else if (!strcmp(what, "segfault")) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    } else if (!strcmp(what, "flood")) {  // NUMBER bytes, lines of 16.
        for (long i = 0; i < number / 16; ++i) printf("%015ld\n", i);
        return 0;
    } else if (!strcmp(what, "flood-then-wait")) {
        for (long i = 0; i < number / 16; ++i) printf("%015ld\n", i);
        fflush(stdout);
        notify("READY=1");
        wait_for_ever();
    } else if (!strcmp(what, "notify")) {
        for (int i = 2; i < argc; ++i) notify(argv[i]);
        wait_for_ever();
    } else if (!strcmp(what, "surroundings")) {
        print_surroundings();
    } else if (!strcmp(what, "eat")) {
        eat_memory();
    } else if (!strcmp(what, "serve")) {
        notify("READY=1");
        serve();
    } else if (!strcmp(what, "rename-environment")) {  // As servers do that show their state in ps.
        for (char** each = environ; *each; ++each) memset(*each, 'x', strlen(*each));
        say("overwritten");
        wait_for_ever();
    } else if (!strcmp(what, "close-output")) {
        close(1);
        close(2);
        notify("READY=1");
        wait_for_ever();
    } else if (!strcmp(what, "reopen-output")) {
        int fd = open("/dev/stdout", O_WRONLY);
        dprintf(fd < 0 ? 1 : fd, fd < 0 ? "cannot\n" : "reopened\n");
        return 0;
    } else {
        return 99;
    }
    return 0;
}
