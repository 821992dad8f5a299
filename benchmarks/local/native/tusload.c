/*
 * tusload - load for servers of tus 1.0.0, and for such as take a PUT (WebDAV).
 *
 * One thread, epoll. Bodies go straight out of one buffer with a pattern of 4 MiB, so that all it costs is the
 * copy of each byte into the socket.
 *
 *   tusload [options] upload    each connection: POST, then PATCHes of -k bytes until -s bytes are there, and again
 *   tusload [options] put       each connection: PUT <path>tl-<number> with -s bytes, and again
 *   tusload [options] head      each connection: POST, one PATCH of -k bytes; when all are there: HEAD, and again
 *   tusload [options] slow      each connection: POST, a PATCH of -s bytes that sends -k at once and then -r bytes
 *                               every 100 ms. "open" is printed when all have begun; standard input's end ends it
 *   tusload -s SIZE pattern     writes what an upload of that size contains
 *
 *   -p PORT    port on 127.0.0.1                -n N       uploads or HEADs in all; 0 is no limit
 *   -u PATH    collection, ends in /            -t SECS    nothing new is begun after that
 *   -c N       connections                      -w SECS    give up, exit status 2
 *   -s SIZE    of an upload; K, M, G            -H FIELD   one more field for each PATCH
 *   -k SIZE    of a PATCH; 0 is all             -L FILE    append the path of every finished upload
 *   -r SIZE    slow: bytes every 100 ms
 *
 * Prints one line of JSON: seconds, bytes, requests, uploads, errors, cpu (seconds of its own), and for each kind of
 * request n, p50_ms, p99_ms, max_ms from the first byte sent to the last byte of the answer. An answer with another
 * status, or another Upload-Offset than what was sent, is an error: exit status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "figures.h"
#include "options.h"

#define PATTERN (4u << 20)
#define PIECE (1u << 20) /* handed to a socket at once */
#define MAX_ERRORS 20

struct conn {
    int fd;
    bool wants_out;                    /* asked to be told when the socket takes more */
    bool busy;                         /* a request is on its way */
    bool ready;                        /* head, slow: what has to come first is done */
    bool finished;                     /* nothing more to do */
    enum kind kind;
    double begun;
    char path[512];
    char head[2048];
    size_t head_length, head_sent;
    uint64_t offset;                   /* what the server has acknowledged */
    uint64_t body_length, body_sent;
    uint64_t quota;                    /* slow: bytes that may go out by now */
    char in[16384];                    /* the answer */
    size_t in_length;
    bool head_read, closes;
    uint64_t to_skip;                  /* of the answer's body */
    bool chunked;                      /* the answer's body is */
    int status;
    int64_t answered_offset;
};

static unsigned char pattern[PATTERN];
static int events;
static uint64_t started;
static struct totals done;
static double clock_start;

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    if (++done.errors > MAX_ERRORS) die("too many errors");
}

static void make_pattern(void) { /* xorshift64 */
    uint64_t x = 88172645463325252ull;
    for (size_t i = 0; i < PATTERN; i += sizeof x) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(pattern + i, &x, sizeof x);
    }
}

static void connect_to_server(struct conn *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect: %s", strerror(errno));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->wants_out = c->closes = false;
    c->in_length = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(events, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static void watch(struct conn *c, bool out) {
    struct epoll_event event = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
    if (c->wants_out == out) return;
    c->wants_out = out;
    if (epoll_ctl(events, EPOLL_CTL_MOD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* What of the body may go out now, from where it stands in the pattern. */
static struct iovec next_piece(const struct conn *c) {
    uint64_t from = ((c->kind == PATCH ? c->offset : 0) + c->body_sent) % PATTERN;
    uint64_t length = c->body_length - c->body_sent;
    if (o.mode == M_SLOW) length = least(length, c->quota);
    length = least(least(length, PATTERN - from), PIECE);
    return (struct iovec){.iov_base = pattern + from, .iov_len = length};
}

/* Send what can be sent; when the socket is full, ask to be told. */
static void push(struct conn *c) {
    for (;;) {
        struct iovec parts[2] = {{.iov_base = c->head + c->head_sent, .iov_len = c->head_length - c->head_sent},
                                 next_piece(c)};
        if (!parts[0].iov_len && !parts[1].iov_len) break;
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            watch(c, true);
            return;
        }
        if (sent < 0) {
            if (errno == EPIPE || errno == ECONNRESET) break; /* the answer may say why */
            die("send: %s", strerror(errno));
        }
        uint64_t of_head = least((uint64_t)sent, parts[0].iov_len), of_body = (uint64_t)sent - of_head;
        c->head_sent += of_head;
        c->body_sent += of_body;
        if (o.mode == M_SLOW) c->quota -= of_body;
    }
    watch(c, false);
}

static void request(struct conn *c, enum kind kind, uint64_t length) {
    static const char *const methods[KINDS] = {"POST", "PATCH", "HEAD", "PUT"};
    char fields[1200] = "", framing[64] = "";
    if (kind == POST)
        snprintf(fields, sizeof fields, "Tus-Resumable: 1.0.0\r\nUpload-Length: %" PRIu64 "\r\n"
                 "Upload-Metadata: filename dGwuYmlu,filetype YXBwbGljYXRpb24vb2N0ZXQtc3RyZWFt\r\n", o.size);
    if (kind == PATCH)
        snprintf(fields, sizeof fields, "Tus-Resumable: 1.0.0\r\nUpload-Offset: %" PRIu64 "\r\n"
                 "Content-Type: application/offset+octet-stream\r\n%s%s", c->offset, o.field, *o.field ? "\r\n" : "");
    if (kind == HEAD) snprintf(fields, sizeof fields, "Tus-Resumable: 1.0.0\r\n");
    if (kind != HEAD) snprintf(framing, sizeof framing, "Content-Length: %" PRIu64 "\r\n", length);
    int written = snprintf(c->head, sizeof c->head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n", methods[kind],
                           kind == POST ? o.path : c->path, o.port, fields, framing);
    if (written < 0 || (size_t)written >= sizeof c->head) die("the request is too long");
    c->kind = kind;
    c->busy = true;
    c->head_length = (size_t)written;
    c->head_sent = c->body_sent = 0;
    c->body_length = length;
    c->head_read = false;
    c->begun = now();
    done.requests++;
    push(c);
}

/* The next upload or HEAD, if there is to be one. */
static void next(struct conn *c) {
    if ((o.n && started >= o.n) || now() - clock_start > o.seconds) {
        c->finished = true;
        return;
    }
    started++;
    if (o.mode == M_HEAD) {
        request(c, HEAD, 0);
    } else if (o.mode == M_PUT) {
        snprintf(c->path, sizeof c->path, "%.480stl-%" PRIu64, o.path, started);
        request(c, PUT, o.size);
    } else {
        c->offset = 0;
        request(c, POST, 0);
    }
}

static uint64_t patch_length(const struct conn *c) {
    uint64_t left = o.size - c->offset;
    return o.chunk && o.mode != M_SLOW ? least(left, o.chunk) : left;
}

static bool is_as_expected(const struct conn *c) {
    switch (c->kind) {
    case HEAD: return (c->status == 200 || c->status == 204) && c->answered_offset == (int64_t)c->offset;
    case PATCH: return c->status == 204 && c->answered_offset == (int64_t)(c->offset + c->body_length)
                       && c->body_sent == c->body_length;
    case PUT: return c->status == 201 || c->status == 204;
    default: return c->status == 201 && c->path[0] == '/';
    }
}

static void count_upload(const struct conn *c) {
    done.uploads++;
    if (o.finished) fprintf(o.finished, "%s\n", c->path);
}

/* The answer is there: judge it, and say what comes now. */
static void answered(struct conn *c) {
    record(c->kind, now() - c->begun);
    c->busy = false;
    bool fine = is_as_expected(c);
    if (!fine) fail("%s %s: status %d, Upload-Offset %" PRId64, kind_names[c->kind], c->path, c->status,
                    c->answered_offset);
    if (!fine && c->body_sent < c->body_length) c->closes = true; /* the rest is not to be taken for a request */
    if (c->closes) {
        close(c->fd);
        connect_to_server(c);
    }
    if (!fine && (o.mode == M_SLOW || c->kind != HEAD)) {
        if (o.mode == M_SLOW || o.mode == M_HEAD) c->finished = true;
        else next(c);
        return;
    }
    if (c->kind == PATCH || c->kind == PUT) done.bytes += c->body_length;
    if (c->kind == PATCH) c->offset += c->body_length;
    if (c->kind == PUT || (c->kind == PATCH && c->offset == o.size)) count_upload(c);
    if (c->kind == PATCH && o.mode == M_HEAD) c->ready = true;
    else if (c->kind == POST || (c->kind == PATCH && c->offset < o.size)) request(c, PATCH, patch_length(c));
    else next(c);
    if (o.mode == M_SLOW) c->ready = true;
}

static const char *find_field(const char *from, const char *end, const char *name) {
    size_t length = strlen(name);
    while (from < end) {
        const char *line_end = memmem(from, (size_t)(end - from), "\r\n", 2);
        if (!line_end) return NULL;
        if ((size_t)(line_end - from) > length && from[length] == ':' && !strncasecmp(from, name, length)) {
            for (from += length + 1; *from == ' ';) from++;
            return from;
        }
        from = line_end + 2;
    }
    return NULL;
}

/* The path of a Location, which may be a whole URL. */
static void read_location(struct conn *c, const char *value, const char *end) {
    const char *line_end = memmem(value, (size_t)(end - value), "\r\n", 2);
    const char *authority = memmem(value, (size_t)(line_end - value), "//", 2);
    if (authority) value = memchr(authority + 2, '/', (size_t)(line_end - authority - 2));
    if (!value) die("a Location without a path");
    snprintf(c->path, sizeof c->path, "%.*s", (int)(line_end - value), value);
}

/* Takes the head out of the buffer; false while it is not all there. */
static bool read_head(struct conn *c) {
    char *end = memmem(c->in, c->in_length, "\r\n\r\n", 4);
    if (!end) {
        if (c->in_length == sizeof c->in) die("the head of an answer is too long");
        return false;
    }
    const char *limit = end + 2, *value;
    c->status = atoi(c->in + 9);
    c->head_read = true;
    value = find_field(c->in, limit, "Content-Length");
    c->to_skip = value && c->kind != HEAD && c->status != 204 ? strtoull(value, NULL, 10) : 0;
    value = find_field(c->in, limit, "Transfer-Encoding");
    c->chunked = value && c->kind != HEAD && c->status != 204;
    value = find_field(c->in, limit, "Connection");
    c->closes = value && !strncasecmp(value, "close", 5);
    value = find_field(c->in, limit, "Upload-Offset");
    c->answered_offset = value ? strtoll(value, NULL, 10) : -1;
    if (c->kind == POST && (value = find_field(c->in, limit, "Location"))) read_location(c, value, limit);
    c->in_length -= (size_t)(end + 4 - c->in);
    memmove(c->in, end + 4, c->in_length);
    return true;
}

static void receive(struct conn *c) {
    ssize_t n = recv(c->fd, c->in + c->in_length, sizeof c->in - c->in_length, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 && c->busy) die("%s %s: the server closed the connection", kind_names[c->kind], c->path);
    if (n <= 0) {
        close(c->fd);
        connect_to_server(c);
        return;
    }
    c->in_length += (size_t)n;
    if (!c->busy) die("an answer to no request");
    if (!c->head_read && !read_head(c)) return;
    if (c->chunked) { /* such bodies are short here; their end is the last that comes */
        if (c->in_length < 5 || memcmp(c->in + c->in_length - 5, "0\r\n\r\n", 5)) return;
        c->to_skip = c->in_length;
    }
    uint64_t skipped = least(c->to_skip, c->in_length);
    c->to_skip -= skipped;
    c->in_length -= skipped;
    memmove(c->in, c->in + skipped, c->in_length);
    if (!c->to_skip) answered(c);
}

static int print_pattern(void) {
    for (uint64_t left = o.size; left;) {
        size_t length = least(left, PATTERN);
        if (fwrite(pattern, 1, length, stdout) != length) return 1;
        left -= length;
    }
    return 0;
}

static bool all(const struct conn *conns, bool (*claim)(const struct conn *)) {
    for (int i = 0; i < o.connections; i++)
        if (!claim(&conns[i])) return false;
    return true;
}
static bool is_finished(const struct conn *c) { return c->finished; }
static bool is_ready(const struct conn *c) { return c->ready || c->finished; }

/* HEADs begin when the last connection has its upload; the clock does, too. */
static void begin_heads(struct conn *conns) {
    done = (struct totals){.errors = done.errors};
    clock_start = now();
    for (int i = 0; i < o.connections; i++)
        if (conns[i].ready) next(&conns[i]);
}

static void trickle(struct conn *conns) {
    static double last;
    if (now() - last < 0.1) return;
    last = now();
    for (int i = 0; i < o.connections; i++) {
        struct conn *c = &conns[i];
        if (!c->busy || c->kind != PATCH) continue;
        c->quota += o.rate;
        push(c);
    }
}

static bool input_has_ended(void) {
    char byte;
    ssize_t n = read(STDIN_FILENO, &byte, 1);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void run(struct conn *conns) {
    bool together = false;
    struct epoll_event ready[256];
    while (!all(conns, is_finished)) {
        if (now() - clock_start > o.give_up) {
            fprintf(stderr, "not done after %.0f seconds\n", o.give_up);
            exit(2);
        }
        if ((o.mode == M_HEAD || o.mode == M_SLOW) && !together && all(conns, is_ready)) {
            together = true;
            if (o.mode == M_HEAD) begin_heads(conns);
            else puts("open"), fflush(stdout);
        }
        if (o.mode == M_SLOW) {
            if (input_has_ended()) return;
            trickle(conns);
        }
        int n = epoll_wait(events, ready, 256, o.mode == M_SLOW ? 20 : 100);
        for (int i = 0; i < n; i++) {
            struct conn *c = ready[i].data.ptr;
            if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
            if ((ready[i].events & EPOLLOUT) && c->wants_out) push(c);
        }
    }
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    make_pattern();
    if (o.mode == M_PATTERN) return print_pattern();
    events = epoll_create1(EPOLL_CLOEXEC);
    if (o.mode == M_SLOW) fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    struct conn *conns = calloc((size_t)o.connections, sizeof *conns);
    if (!conns) die("out of memory");
    for (int i = 0; i < o.connections; i++) connect_to_server(&conns[i]);
    double busy = cpu_seconds();
    clock_start = now();
    for (int i = 0; i < o.connections; i++) {
        conns[i].quota = o.chunk;
        if (o.mode == M_HEAD || o.mode == M_SLOW) request(&conns[i], POST, 0);
        else next(&conns[i]);
    }
    run(conns);
    print_report(&done, now() - clock_start, cpu_seconds() - busy);
    if (o.finished) fclose(o.finished);
    return done.errors ? 1 : 0;
}
