// actor [OPTION...]: a service that does on demand what services do: serve, get stuck, fail, die.
//
// Serves HTTP/1.1, one connection at a time, on the sockets it inherits (LISTEN_FDS) or else on
// 127.0.0.1:PORT. Requests:
//     /           200 with {"pid","instance","inherited","version"}
//     /crash      calls abort()
//     /exit/N     exits with N, unanswered
//     /hang       answers, then stops doing anything for good (SIGUSR1 does the same)
//     /live       200
//     /ready      200, or 503 while the file of --unready-if is there
// Options:
//     --notify               STATUS= at its start, READY=1 when it listens, WATCHDOG=1 while it is
//     well,
//                            STOPPING=1 at SIGTERM
//     --start-ms N           waits that long before it listens
//     --fail-if FILE         exits with 3 at its start while FILE is there
//     --unready-if FILE      see /ready
//     --deaf                 ignores SIGTERM
//     --say TEXT             prints TEXT at its start
//     --version TEXT         handed back by /
//     --no-listen            listens nowhere, only lives
//     --started FILE         appends "PID SECONDS.NANOSECONDS\n" (CLOCK_BOOTTIME) as its first deed
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { listeners_max = 8, first_inherited = 3 };

static struct {
    int notify;
    int start_ms;
    const char* fail_if;
    const char* unready_if;
    int deaf;
    const char* version;
    int no_listen;
    const char* started;
} options = {.version = ""};

static volatile sig_atomic_t asked_to_stop;
static volatile sig_atomic_t hung;

static void on_term(int number) {
    (void)number;
    asked_to_stop = 1;
}
static void on_usr1(int number) {
    (void)number;
    hung = 1;
}

static void pause_ms(int ms) {
    struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR && !asked_to_stop) {
    }
}

static void notify(const char* message) {
    const char* path = getenv("NOTIFY_SOCKET");
    if (!options.notify || path == NULL) return;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    size_t path_bytes = strlen(address.sun_path);
    if (path[0] == '@') address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes);
    if (sendto(fd, message, strlen(message), 0, (struct sockaddr*)&address, size) < 0)
        fprintf(stderr, "actor: cannot notify %s: %s\n", path, strerror(errno));
    close(fd);
}

static int listen_on(const char* port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 128) != 0) {
        fprintf(stderr, "actor: cannot listen on 127.0.0.1:%s: %s\n", port, strerror(errno));
        exit(4);
    }
    return fd;
}

static int inherited_count(void) {
    const char* count = getenv("LISTEN_FDS");
    const char* pid = getenv("LISTEN_PID");
    if (count == NULL || pid == NULL || atoi(pid) != getpid()) return 0;
    return atoi(count);
}

static const char* value_of(const char* name) {
    const char* value = getenv(name);
    return value == NULL ? "" : value;
}

static void answer(int fd, const char* status, const char* body) {
    char text[2048];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                        "Connection: close\r\n\r\n%s",
                        status, strlen(body), body);
    if (send(fd, text, (size_t)size, MSG_NOSIGNAL) != size)
        fprintf(stderr, "actor: a client left\n");
}

static void serve(int fd) {
    char request[4096];
    size_t size = 0;
    request[0] = '\0';
    struct timeval patience = {5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (size < sizeof request - 1 && strstr(request, "\r\n\r\n") == NULL) {
        ssize_t got = recv(fd, request + size, sizeof request - 1 - size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return;
        size += (size_t)got;
        request[size] = '\0';
    }
    char path[256] = "";
    sscanf(request, "%*s %255s", path);
    char body[512];
    snprintf(body, sizeof body,
             "{\"pid\":%d,\"instance\":\"%s\",\"inherited\":%d,\"version\":\"%s\"}\n", getpid(),
             value_of("HOLDFAST_INSTANCE"), inherited_count(), options.version);
    if (strcmp(path, "/crash") == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        abort();
    }
    if (strncmp(path, "/exit/", 6) == 0) exit(atoi(path + 6));
    if (strcmp(path, "/hang") == 0) hung = 1;
    if (strcmp(path, "/ready") == 0 && options.unready_if != NULL &&
        access(options.unready_if, F_OK) == 0)
        answer(fd, "503 Service Unavailable", body);
    else
        answer(fd, "200 OK", body);
}

static void record_start(void) {
    if (options.started == NULL) return;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    char line[64];
    int size = snprintf(line, sizeof line, "%d %lld.%09ld\n", getpid(), (long long)now.tv_sec,
                        now.tv_nsec);
    int fd = open(options.started, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, line, (size_t)size) != size)
        fprintf(stderr, "actor: %s: %s\n", options.started, strerror(errno));
    close(fd);
}

static void read_options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        const char* name = argv[i];
        if (strcmp(name, "--notify") == 0)
            options.notify = 1;
        else if (strcmp(name, "--deaf") == 0)
            options.deaf = 1;
        else if (strcmp(name, "--no-listen") == 0)
            options.no_listen = 1;
        else if (i + 1 == argc)
            exit(2);
        else if (strcmp(name, "--start-ms") == 0)
            options.start_ms = atoi(argv[++i]);
        else if (strcmp(name, "--fail-if") == 0)
            options.fail_if = argv[++i];
        else if (strcmp(name, "--unready-if") == 0)
            options.unready_if = argv[++i];
        else if (strcmp(name, "--version") == 0)
            options.version = argv[++i];
        else if (strcmp(name, "--started") == 0)
            options.started = argv[++i];
        else if (strcmp(name, "--say") == 0)
            printf("%s\n", argv[++i]);
        else
            exit(2);
    }
    fflush(stdout);
}

static void watch_signals(void) {
    struct sigaction term = {.sa_handler = options.deaf ? SIG_IGN : on_term};
    struct sigaction usr1 = {.sa_handler = on_usr1};
    sigaction(SIGTERM, &term, NULL);
    sigaction(SIGUSR1, &usr1, NULL);
}

int main(int argc, char** argv) {
    read_options(argc, argv);
    watch_signals();
    record_start();
    if (options.fail_if != NULL && access(options.fail_if, F_OK) == 0) return 3;
    notify("STATUS=starting");
    pause_ms(options.start_ms);

    struct pollfd waits[listeners_max];
    nfds_t count = 0;
    for (int i = 0; i < inherited_count() && i < listeners_max; ++i)
        waits[count++] = (struct pollfd){first_inherited + i, POLLIN, 0};
    if (count == 0 && !options.no_listen && getenv("PORT") != NULL)
        waits[count++] = (struct pollfd){listen_on(getenv("PORT")), POLLIN, 0};
    for (nfds_t i = 0; i < count; ++i) fcntl(waits[i].fd, F_SETFL, O_NONBLOCK);
    notify("READY=1\nSTATUS=serving");

    while (!asked_to_stop) {
        while (hung) pause();
        notify("WATCHDOG=1");
        if (poll(waits, count, 100) <= 0) continue;
        for (nfds_t i = 0; i < count; ++i) {
            // Another instance on the same socket may have been quicker: then there is nothing to
            // accept.
            int fd = accept4(waits[i].fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0) continue;
            serve(fd);
            close(fd);
        }
    }
    notify("STOPPING=1");
    return 0;
}
