/*
 * csink - the least that a tus server can do, in C: what the machine itself allows.
 *
 * One thread, epoll: recv() into one buffer of 1 MiB, write() to the file. POST makes the file and a record beside
 * it, PATCH writes at the offset that it has measured, HEAD measures and reads the record. It believes its clients,
 * has no locks, no time limits and no checksums: not a server for use.
 *
 *   csink PORT FOLDER
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1u << 20)
#define TURNS 8 /* reads from one connection before the others have their turn */

struct conn {
    int fd, file;       /* file is -1 but while a body is coming in */
    char head[16384];
    size_t length;      /* of what is in head */
    uint64_t left;      /* of the body */
    uint64_t offset;
};

static const char *folder;
static char piece[PIECE];

__attribute__((noreturn)) static void die(const char *what) {
    perror(what);
    exit(1);
}

static void answer(const struct conn *c, const char *status, const char *fields) {
    char text[700];
    int length = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nTus-Resumable: 1.0.0\r\n%s\r\n", status, fields);
    if (send(c->fd, text, (size_t)length, MSG_NOSIGNAL) != length) shutdown(c->fd, SHUT_RDWR);
}

/* The number in a field, or -1. `name` has the colon. */
static long long number(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    return found ? atoll(found + strlen(name)) : -1;
}

static void create(const struct conn *c, const char *head) {
    static uint64_t last;
    char path[512], record[64], fields[128];
    int length = snprintf(record, sizeof record, "Length: %lld", number(head, "Upload-Length:"));
    snprintf(path, sizeof path, "%s/%" PRIu64, folder, ++last);
    close(open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644));
    strcat(path, ".info");
    int file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (file < 0 || write(file, record, (size_t)length) != length) die(path);
    close(file);
    snprintf(fields, sizeof fields, "Location: /files/%" PRIu64 "\r\nContent-Length: 0\r\n", last);
    answer(c, "201 Created", fields);
}

static void inspect(const struct conn *c, const char *path) {
    struct stat measured;
    char record_path[520], record[64] = "", fields[200];
    snprintf(record_path, sizeof record_path, "%s.info", path);
    int file = open(record_path, O_RDONLY);
    if (file < 0 || stat(path, &measured) || read(file, record, sizeof record - 1) < 0) {
        if (file >= 0) close(file);
        answer(c, "404 Not Found", "Content-Length: 0\r\n");
        return;
    }
    close(file);
    snprintf(fields, sizeof fields, "Upload-Offset: %lld\r\nUpload-Length: %lld\r\nCache-Control: no-store\r\n",
             (long long)measured.st_size, number(record, "Length:"));
    answer(c, "200 OK", fields);
}

static void store(struct conn *c, const char *from, size_t length) {
    while (length) {
        ssize_t written = pwrite(c->file, from, length, (off_t)c->offset);
        if (written <= 0) die("write");
        from += written;
        length -= (size_t)written;
        c->offset += (uint64_t)written;
        c->left -= (uint64_t)written;
    }
}

static void finish_if_done(struct conn *c) {
    char fields[64];
    if (c->left) return;
    close(c->file);
    c->file = -1;
    snprintf(fields, sizeof fields, "Upload-Offset: %" PRIu64 "\r\n", c->offset);
    answer(c, "204 No Content", fields);
}

/* Opens the file where it ends; what is already here of the body is written. */
static void append(struct conn *c, const char *head, const char *path, const char *rest, size_t *rest_length) {
    struct stat measured;
    long long length = number(head, "Content-Length:");
    c->file = open(path, O_WRONLY);
    if (c->file < 0 || fstat(c->file, &measured) || measured.st_size != number(head, "Upload-Offset:") || length < 0) {
        answer(c, c->file < 0 ? "404 Not Found" : "409 Conflict", "Content-Length: 0\r\nConnection: close\r\n");
        shutdown(c->fd, SHUT_RDWR);
        return;
    }
    c->offset = (uint64_t)measured.st_size;
    c->left = (uint64_t)length;
    size_t here = c->left < *rest_length ? (size_t)c->left : *rest_length;
    store(c, rest, here);
    *rest_length -= here;
    memmove((char *)rest, rest + here, *rest_length);
    finish_if_done(c);
}

/* One request whose head ends `head_length` bytes into the buffer. */
static void handle(struct conn *c, size_t head_length) {
    char path[512], method[8], target[300] = "";
    char *rest = c->head + head_length;
    size_t rest_length = c->length - head_length;
    rest[-1] = 0;
    sscanf(c->head, "%7s %299s", method, target);
    const char *id = strrchr(target, '/');
    snprintf(path, sizeof path, "%s%s", folder, id ? id : "/");
    if (!strcmp(method, "POST")) create(c, c->head);
    else if (!strcmp(method, "HEAD")) inspect(c, path);
    else if (!strcmp(method, "PATCH")) append(c, c->head, path, rest, &rest_length);
    else answer(c, "200 OK", "Tus-Version: 1.0.0\r\nTus-Extension: creation\r\nContent-Length: 0\r\n");
    memmove(c->head, rest, rest_length);
    c->length = rest_length;
}

/* False when the connection is over. */
static bool read_once(struct conn *c, bool *dry) {
    size_t room = c->left ? (c->left < PIECE ? (size_t)c->left : PIECE) : sizeof c->head - 1 - c->length;
    ssize_t n = recv(c->fd, c->left ? piece : c->head + c->length, room, 0);
    if (n < 0 && errno == EAGAIN) return *dry = true;
    if (n <= 0) return false;
    if (c->left) {
        store(c, piece, (size_t)n);
        finish_if_done(c);
        return true;
    }
    c->length += (size_t)n;
    c->head[c->length] = 0;
    for (char *end; !c->left && (end = memmem(c->head, c->length, "\r\n\r\n", 4));)
        handle(c, (size_t)(end + 4 - c->head));
    return true;
}

static void serve(struct conn *c) {
    bool dry = false;
    for (int turn = 0; turn < TURNS && !dry; turn++) {
        if (read_once(c, &dry)) continue;
        close(c->fd);
        if (c->file >= 0) close(c->file);
        free(c);
        return;
    }
}

static int listen_on(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) die("bind");
    return listener;
}

static void accept_one(int listener, int events) {
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *c = fd < 0 ? NULL : calloc(1, sizeof *c);
    if (!c) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd;
    c->file = -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(events, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    folder = argv[2];
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_on(argv[1]), events = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[128];
    if (epoll_ctl(events, EPOLL_CTL_ADD, listener, &event)) die("epoll_ctl");
    for (;;) {
        int n = epoll_wait(events, ready, 128, -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr) serve(ready[i].data.ptr);
            else accept_one(listener, events);
        }
    }
}
