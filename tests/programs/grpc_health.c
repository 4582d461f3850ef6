// grpc_health VERDICT_FILE: answers gRPC's health check (grpc.health.v1.Health/Check) on
// 127.0.0.1:PORT, or on an inherited socket, by what VERDICT_FILE holds: "serving", "not-serving",
// "unimplemented" (grpc-status 12). Cleartext HTTP/2 with prior knowledge, as gRPC speaks it; one
// connection at a time, which is all a probe needs.
#include <arpa/inet.h>
#include <nghttp2/nghttp2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char* verdict_file;
// The one response: a gRPC frame (uncompressed, two bytes long) with field 1, a varint.
static uint8_t frame[7] = {0, 0, 0, 0, 2, 0x08, 0};
static int frame_sent;
static const char* grpc_status;

static nghttp2_nv field(const char* name, const char* value) {
    return (nghttp2_nv){(uint8_t*)(uintptr_t)name, (uint8_t*)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t on_send(nghttp2_session* session, const uint8_t* bytes, size_t size, int flags,
                       void* user) {
    (void)session;
    (void)flags;
    ssize_t sent = send(*(int*)user, bytes, size, MSG_NOSIGNAL);
    return sent < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : sent;
}

static ssize_t on_read(nghttp2_session* session, int32_t stream, uint8_t* out, size_t size,
                       uint32_t* flags, nghttp2_data_source* source, void* user) {
    (void)source;
    (void)user;
    size_t give = 0;
    if (!frame_sent && strcmp(grpc_status, "0") == 0 && size >= sizeof frame) {
        memcpy(out, frame, sizeof frame);
        give = sizeof frame;
        frame_sent = 1;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_nv trailer = field("grpc-status", grpc_status);
    nghttp2_submit_trailer(session, stream, &trailer, 1);
    return (ssize_t)give;
}

static void read_verdict(void) {
    char word[32] = "";
    FILE* file = fopen(verdict_file, "re");
    if (file != NULL) {
        if (fscanf(file, "%31s", word) != 1) word[0] = '\0';
        fclose(file);
    }
    frame[6] = strcmp(word, "serving") == 0 ? 1 : 2;
    grpc_status = strcmp(word, "unimplemented") == 0 ? "12" : "0";
    frame_sent = 0;
}

static int on_frame(nghttp2_session* session, const nghttp2_frame* received, void* user) {
    (void)user;
    if (!(received->hd.flags & NGHTTP2_FLAG_END_STREAM) || received->hd.stream_id == 0) return 0;
    read_verdict();
    nghttp2_nv headers[] = {field(":status", "200"), field("content-type", "application/grpc")};
    nghttp2_data_provider body = {.read_callback = on_read};
    return nghttp2_submit_response(session, received->hd.stream_id, headers, 2, &body);
}

static void serve(int fd) {
    nghttp2_session_callbacks* callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session* session;
    nghttp2_session_server_new(&session, callbacks, &fd);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);
    uint8_t bytes[4096];
    while (nghttp2_session_send(session) == 0 &&
           (nghttp2_session_want_read(session) || nghttp2_session_want_write(session))) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0 || nghttp2_session_mem_recv(session, bytes, (size_t)got) < 0) break;
    }
    nghttp2_session_del(session);
    nghttp2_session_callbacks_del(callbacks);
}

static int listener(void) {
    if (getenv("LISTEN_FDS") != NULL) return 3;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const char* port = getenv("PORT");
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port == NULL ? "0" : port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 16) != 0) {
        perror("grpc_health: cannot listen");
        exit(4);
    }
    return fd;
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    verdict_file = argv[1];
    int listening = listener();
    for (;;) {
        int fd = accept(listening, NULL, NULL);
        if (fd < 0) continue;
        struct timeval patience = {2, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        serve(fd);
        close(fd);
    }
}
